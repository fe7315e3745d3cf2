"""What deploy/kubernetes promises, read from what Kustomize makes of it; and that the rules find what is broken."""

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.core
import typer.main
import yaml

from footnote.cli import app
from footnote.settings import Settings, variable
from scripts import manifests
from scripts.manifests import Json, Pods, build, complaints, pods_of
from tests import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
builder = manifests.builder()
pytestmark = pytest.mark.skipif(builder is None, reason="neither kustomize nor kubectl is installed")


@pytest.fixture(scope="module")
def overlays() -> dict[str, list[Json]]:
    assert builder
    return {overlay: build(builder, overlay) for overlay in manifests.OVERLAYS}


@pytest.fixture(scope="module")
def production(overlays: dict[str, list[Json]]) -> list[Json]:
    return overlays["production"]


@pytest.fixture
def altered(production) -> list[Json]:
    return copy.deepcopy(production)


def one(objects: list[Json], kind: str, name: str) -> Any:
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"].startswith(name)]
    return found


def settings(objects: list[Json]) -> dict[str, str]:
    data: dict[str, str] = one(objects, "ConfigMap", "footnote-settings")["data"]
    return data


def pods(objects: list[Json], name: str) -> Pods:
    (found,) = [each for each in pods_of(objects) if each.name == name]
    return found


def test_no_rule_is_broken(overlays) -> None:
    found = {name: [*complaints(each, by_digest=name == "production")] for name, each in overlays.items()}
    assert found == {name: [] for name in manifests.OVERLAYS}


def api(objects: list[Json]) -> Json:
    return pods(objects, "footnote-api").spec


def container(objects: list[Json]) -> Json:
    return pods(objects, "footnote-api").containers[0]


BROKEN: dict[str, Callable[[list[Json]], Any]] = {
    "limits lack memory": lambda all_: container(all_)["resources"]["limits"].pop("memory"),
    "requests lack cpu": lambda all_: api(all_)["initContainers"][0]["resources"]["requests"].pop("cpu"),
    "api has no livenessProbe": lambda all_: container(all_).pop("livenessProbe"),
    "api has no readinessProbe": lambda all_: container(all_).pop("readinessProbe"),
    "asks the port web": lambda all_: container(all_)["startupProbe"]["httpGet"].update(port="web"),
    "readOnlyRootFilesystem must be True": lambda all_: container(all_)["securityContext"].pop(
        "readOnlyRootFilesystem"
    ),
    "not run as root": lambda all_: api(all_)["securityContext"].update(runAsUser=0),
    "automountServiceAccountToken must be false": lambda all_: api(all_).pop("automountServiceAccountToken"),
    "enableServiceLinks must be false": lambda all_: api(all_).pop("enableServiceLinks"),
    "seccompProfile": lambda all_: api(all_)["securityContext"].pop("seccompProfile"),
    "tmp has no sizeLimit": lambda all_: api(all_)["volumes"][0]["emptyDir"].clear(),
    "not pinned by its digest": lambda all_: container(all_).update(image="registry.example.com/footnote-api:1.0"),
    "OPENAI_API_KEY is a secret": lambda all_: settings(all_).update(OPENAI_API_KEY="sk-1"),
    "DATABASE_URL is a secret": lambda all_: settings(all_).update(DATABASE_URL="postgresql://app:pw@db/app"),
    "FOOTNOTE_DRAIN is no setting": lambda all_: settings(all_).update(FOOTNOTE_DRAIN="60"),
    "stand in no manifest": lambda all_: all_.append({"kind": "Secret", "metadata": {"name": "footnote"}}),
    "no pod has the port https": lambda all_: one(all_, "Service", "footnote-api")["spec"]["ports"][0].update(
        targetPort="https"
    ),
    "no pod has its labels": lambda all_: one(all_, "NetworkPolicy", "reach-the-api")["spec"]["podSelector"][
        "matchLabels"
    ].update({"app.kubernetes.io/component": "apis"}),
    "what it scales is not there": lambda all_: one(all_, "ScaledObject", "footnote-worker")["spec"][
        "scaleTargetRef"
    ].update(name="worker"),
}


@pytest.mark.parametrize("said", BROKEN)
def test_a_broken_rule_is_named(altered, said: str) -> None:
    BROKEN[said](altered)
    (found,) = complaints(altered, by_digest=True)
    assert said in found


def test_an_image_without_a_version_is_named(altered) -> None:
    container(altered)["image"] = "footnote-api"
    assert any("has no version" in each for each in complaints(altered, by_digest=False))


def test_images_are_named_in_one_place(production) -> None:
    (named,) = [yaml.safe_load((KUBERNETES / "images" / "kustomization.yaml").read_text())["images"]]
    given = {each["name"]: f"{each['newName']}@{each['digest']}" for each in named}
    used = {each["image"] for pods in pods_of(production) for each in pods.all_containers}
    assert used == set(given.values())
    assert given.keys() == {"footnote-api", "footnote-worker"}


def test_every_command_is_one_of_the_command_line(overlays) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    every = [each for objects in overlays.values() for pods in pods_of(objects) for each in pods.all_containers]
    commands = {tuple(each["command"]) for each in every if each.get("command", [""])[0] == "footnote"}
    assert {command[1] for command in commands} == {"api", "worker", "dispatcher", "migrate", "flower"}
    for _, name, *arguments in commands:
        group.commands[name].make_context(name, list(arguments))  # fails for options that it does not have


def test_everything_waits_for_the_tables_and_not_for_the_job(overlays) -> None:
    for objects in overlays.values():
        for name in ("api", "worker", "dispatcher"):
            spec = pods(objects, f"footnote-{name}").spec
            (waits,) = spec["initContainers"]
            assert waits["command"][:3] == ["footnote", "migrate", "--wait"]
            assert waits["envFrom"] == spec["containers"][0]["envFrom"], "it looks at the same database"


def test_probes_ask_what_there_is(overlays) -> None:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    asked = {
        (each["name"], probe["httpGet"]["path"])
        for objects in overlays.values()
        for pods in pods_of(objects)
        for each in pods.containers
        for key, probe in each.items()
        if key.endswith("Probe") and "httpGet" in probe
    }
    assert {path for name, path in asked if name == "api"} == {"/healthz", "/readyz"} & paths.keys()
    others = {("worker", "/metrics"), ("dispatcher", "/metrics"), ("flower", "/healthcheck")}
    assert {each for each in asked if each[0] != "api"} == others


def test_ports_are_those_of_the_settings(production) -> None:
    given = settings(production)
    for name in ("api", "worker", "dispatcher"):
        (container,) = pods(production, f"footnote-{name}").containers
        ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        own = {each["name"]: each["value"] for each in container.get("env", [])}
        assert ports["metrics"] == given["FOOTNOTE_METRICS_PORT"]
        assert ports.get("http") == own.get("PORT")
        annotations = one(production, "Deployment", f"footnote-{name}")["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == ports["metrics"]


def test_the_api_is_given_longer_to_stop_than_it_takes(production) -> None:
    spec = api(production)
    slept = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drained = int(settings(production)["FOOTNOTE_DRAIN_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] >= slept + drained + 5


def test_the_worker_has_room_for_the_largest_documents(production) -> None:
    (tmp,) = pods(production, "footnote-worker").spec["volumes"]
    sizes = {"Gi": 1024**3, "Mi": 1024**2}
    limit = tmp["emptyDir"]["sizeLimit"]
    at_once = int(settings(production)["FOOTNOTE_WORKER_CONCURRENCY"])
    assert int(limit[:-2]) * sizes[limit[-2:]] >= 2 * at_once * Settings.model_fields["max_upload_bytes"].default


def test_workers_are_scaled_by_slots(production) -> None:
    spec = one(production, "ScaledObject", "footnote-worker")["spec"]
    (trigger,) = [each["metadata"] for each in spec["triggers"]]
    assert trigger["threshold"] == settings(production)["FOOTNOTE_WORKER_CONCURRENCY"]
    (metric,) = re.findall(r"footnote_\w+", trigger["query"])
    assert f'"{metric}"' in (ROOT / "footnote" / "operations" / "gauges.py").read_text()
    assert "replicas" not in one(production, "Deployment", "footnote-worker")["spec"], "KEDA's number would be undone"
    assert "replicas" not in one(production, "Deployment", "footnote-api")["spec"]


def test_an_installation_in_another_namespace_has_nothing_of_the_first(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "production" / "kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("namespace: footnote", "namespace: second"))
    assert builder
    objects = build(builder, overlay.parent)
    (trigger,) = one(objects, "ScaledObject", "footnote-worker")["spec"]["triggers"]
    assert re.findall(r'namespace="(\w+)"', trigger["metadata"]["query"]) == ["second"]
    namespaces = {each["metadata"].get("namespace", each["metadata"]["name"]) for each in objects}
    assert namespaces == {"second"}


def test_the_cloud_s_metadata_and_the_cluster_are_out_of_reach_of_addresses_that_clients_choose(production) -> None:
    (rule,) = one(production, "NetworkPolicy", "reach-the-internet")["spec"]["egress"]
    excepted = {network for each in rule["to"] for network in each["ipBlock"]["except"]}
    assert {"169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"} <= excepted
    policies = [each for each in production if each["kind"] == "NetworkPolicy"]
    closed = one(production, "NetworkPolicy", "deny-by-default")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    open_to_all = [
        each["metadata"]["name"] for each in policies if each["spec"].get("ingress") == [{"ports": [{"port": "http"}]}]
    ]
    assert open_to_all == ["reach-the-api"]


def test_what_production_needs_is_given_or_in_the_secret_that_the_page_describes(overlays) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for objects in overlays.values():
        given = settings(objects)
        for name in ("database_url", "redis_url", "storage_url"):
            assert variable(name) in given or f"{variable(name)}=" in page
        referred = re.findall(r"'name': 'footnote', 'key': '(\w+)'|'key': '(\w+)', 'name': 'footnote'", str(objects))
        assert {first or second for first, second in referred} - set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", page)) == set()
    assert settings(overlays["production"])["FOOTNOTE_PUBLIC_URL"].startswith("https://")
