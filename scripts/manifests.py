"""Builds the overlays of deploy/kubernetes with Kustomize, and holds what comes out to rules that no schema knows."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from footnote.settings import FILE, Settings, variable

Json = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes" / "overlays"
OVERLAYS = ("small", "production", "with-postgres")
BUILDERS = (("kustomize", "build"), ("kubectl", "kustomize"))
_PODS = {"Deployment", "StatefulSet", "Job"}
_CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
_OF_POD = {"automountServiceAccountToken": False, "enableServiceLinks": False}
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|KEY|KEY_ID)$")  # names
_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")  # within a URL
_OTHERS = re.compile(r"AWS_[A-Z_]+|OTEL_[A-Z_]+|POSTGRES_(USER|PASSWORD|DB)")  # variables that are not settings


def builder() -> tuple[str, ...] | None:
    """The command that builds a folder; None if neither `kustomize` nor `kubectl` is installed."""
    return next((command for command in BUILDERS if shutil.which(command[0])), None)


def build(command: Sequence[str], overlay: str | Path) -> list[Json]:
    """The objects of an overlay, or of another folder. Raises CalledProcessError, after the builder said why."""
    done = subprocess.run([*command, str(FOLDER / overlay)], stdout=subprocess.PIPE, check=True)
    return list(yaml.safe_load_all(done.stdout))


@dataclass(frozen=True)
class Pods:
    """The template of a workload's pods."""

    name: str
    kind: str
    labels: Mapping[str, str]
    spec: Json

    @property
    def containers(self) -> list[Json]:
        containers: list[Json] = self.spec["containers"]
        return containers

    @property
    def all_containers(self) -> list[Json]:
        return [*self.spec.get("initContainers", []), *self.containers]

    def have(self, labels: Mapping[str, str]) -> bool:
        return labels.items() <= self.labels.items()


def pods_of(objects: Sequence[Json]) -> list[Pods]:
    templates = [(each, each["spec"]["template"]) for each in objects if each["kind"] in _PODS]
    return [
        Pods(each["metadata"]["name"], each["kind"], template["metadata"]["labels"], template["spec"])
        for each, template in templates
    ]


def complaints(objects: Sequence[Json], *, by_digest: bool) -> Iterator[str]:
    """A sentence for each broken rule."""
    every = pods_of(objects)
    for pods in every:
        yield from (f"{pods.name}: {said}" for said in _of_pods(pods))
        for container in pods.all_containers:
            said = [*_of_container(container), *_of_image(container["image"], by_digest), *_of_variables(container)]
            yield from (f"{pods.name}/{container['name']}: {each}" for each in said)
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        yield from (f"{name}: {said}" for said in (*_of_data(each), *_of_selection(each, every)))


def _of_pods(pods: Pods) -> Iterator[str]:
    yield from (f"{key} must be {str(value).lower()}" for key, value in _OF_POD.items() if pods.spec.get(key) != value)
    security = pods.spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "it must not run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "seccompProfile must be RuntimeDefault"
    volumes = {each["name"]: each for each in pods.spec.get("volumes", [])}
    unlimited = [name for name, each in volumes.items() if "emptyDir" in each and "sizeLimit" not in each["emptyDir"]]
    yield from (f"the volume {name} has no sizeLimit" for name in unlimited)
    if pods.kind != "Job":
        yield from (f"{each['name']} has no livenessProbe" for each in pods.containers if "livenessProbe" not in each)


def _of_container(container: Json) -> Iterator[str]:
    resources = container.get("resources", {})
    for kind in ("requests", "limits"):
        missing = {"cpu", "memory"} - resources.get(kind, {}).keys()
        yield from (f"{kind} lack {each}" for each in sorted(missing))
    security = container.get("securityContext", {})
    yield from (f"{key} must be {value}" for key, value in _CONFINED.items() if security.get(key) != value)
    named = {each["name"] for each in container.get("ports", [])}
    probes = [each for key, each in container.items() if key.endswith("Probe") and "httpGet" in each]
    used = {each["httpGet"]["port"] for each in probes}
    yield from (f"a probe asks the port {port}, which it has not" for port in sorted(used - named))


def _of_image(image: str, by_digest: bool) -> Iterator[str]:
    if by_digest and not _DIGEST.search(image):
        yield f"{image} is not pinned by its digest"
    elif not re.search(r"[:@]", image.rpartition("/")[2]) or image.endswith(":latest"):
        yield f"{image} has no version"


def _of_variables(container: Json) -> Iterator[str]:
    values = {each["name"]: each.get("value", "") for each in container.get("env", [])}
    yield from _of_values(values)


def _of_data(each: Json) -> Iterator[str]:
    if each["kind"] == "Secret":
        yield "secrets are made by you, and stand in no manifest"
    if each["kind"] == "ConfigMap":
        yield from _of_values(each["data"])


def _of_values(values: Mapping[str, str]) -> Iterator[str]:
    settings = {variable(name) for name in Settings.model_fields}
    for name, value in values.items():
        if value and (_SECRET.search(name) or _PASSWORD.search(value)):
            yield f"{name} is a secret, and its value stands here"
        if name.removesuffix(FILE) not in settings and not _OTHERS.fullmatch(name):
            yield f"{name} is no setting"


def _of_selection(each: Json, every: Sequence[Pods]) -> Iterator[str]:
    """What refers to pods refers to some that there are."""
    spec = each.get("spec", {})
    if each["kind"] == "Service":
        yield from _of_service(spec, [pods for pods in every if pods.have(spec["selector"])])
    elif each["kind"] in ("PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        labels = spec.get("podSelector", spec.get("selector", {})).get("matchLabels", {})
        if not any(pods.have(labels) for pods in every):
            yield "no pod has its labels"
    elif "scaleTargetRef" in spec and spec["scaleTargetRef"]["name"] not in {pods.name for pods in every}:
        yield "what it scales is not there"


def _of_service(spec: Json, chosen: Sequence[Pods]) -> Iterator[str]:
    containers = [each for pods in chosen for each in pods.containers]
    ports = {port["name"] for each in containers for port in each.get("ports", [])}
    wanted = {port["targetPort"] for port in spec["ports"]}
    yield from (f"no pod has the port {port}" for port in sorted(wanted - ports))
    yield from (f"{each['name']} has no readinessProbe" for each in containers if "readinessProbe" not in each)
