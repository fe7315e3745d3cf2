"""Both images, built from what is committed and named by the digest that the registry gave them."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from scripts.release import output_of

NAMES = ("footnote-api", "footnote-worker")
# Which services of docker-compose.yml run which image.
SERVICES = {"migrate": 0, "api": 0, "worker": 1, "dispatcher": 1, "flower": 1}


def engine(seconds: float = 30.0) -> str | None:
    """Docker, if it is here and an engine answers."""
    if shutil.which("docker") is None:
        return None
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return None
    return "docker" if asked.returncode == 0 else None


def build(source: Path, version: str, registry: str, *, push: bool) -> dict[str, str]:
    """Builds both images; by name, a reference that is a digest once it was pushed, else a tag."""
    made = {}
    for name in NAMES:
        tag = f"{registry}/{name}:{version}"
        output_of("docker", "build", "--file", f"Dockerfile.{name.partition('-')[2]}", "--tag", tag, ".", cwd=source)
        made[name] = _pushed(tag) if push else tag
    return made


def _pushed(tag: str) -> str:
    output_of("docker", "push", "--quiet", tag)
    digests: list[str] = json.loads(output_of("docker", "inspect", "--format", "{{json .RepoDigests}}", tag))
    repository = tag.rpartition(":")[0]
    return next(each for each in digests if each.startswith(f"{repository}@"))


def inside(reference: str) -> tuple[str, ...]:
    """What runs a command in the image, as `sboms.of_image` takes it."""
    return ("docker", "run", "--rm", "--network", "none", "--entrypoint", "", reference)


def write_compose(digests: Mapping[str, str], target: Path) -> None:
    """A file beside docker-compose.yml with which Compose takes these images and builds none."""
    lines = ["# docker compose -f docker-compose.yml -f docker-compose.images.yml up --detach --wait", "services:"]
    for service, image in SERVICES.items():
        lines += [f"  {service}:", "    build: !reset null", f"    image: {digests[NAMES[image]]}"]
    target.write_text("\n".join(lines) + "\n")


def write_kustomization(digests: Mapping[str, str], target: Path) -> None:
    """A component for an overlay of deploy/kubernetes that names these images."""
    lines = ["apiVersion: kustomize.config.k8s.io/v1alpha1", "kind: Component", "images:"]
    for name, reference in digests.items():
        repository, _, digest = reference.partition("@")
        lines += [f"  - name: {name}", f"    newName: {repository}", f"    digest: {digest}"]
    target.write_text("\n".join(lines) + "\n")
