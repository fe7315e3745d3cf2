"""What the release script promises, as far as that needs no index and no container engine (`make release` does)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import Distribution
from setuptools.command.build_py import build_py

from footnote.errors import ProviderRejected
from footnote.providers import local, model_files
from scripts.release import auditing, checks, images, sboms, signing
from tests import ROOT

DIGESTS = {name: f"registry.example/footnote/{name}@sha256:{'ab' * 32}" for name in images.NAMES}


# -- what stops a release ------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 1.2.3 - 2026-11-30\n\n- Lamps.\n\n## 1.2.2 - 2026-10-01\n"
    )
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "All of it")
    git(tmp_path, "tag", "v1.2.3")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Keeper", "-c", "user.email=keeper@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True)


def test_a_tagged_commit_with_a_section_may_be_released(checkout: Path) -> None:
    assert checks.faults(checkout, "1.2.3") == []
    assert checks.notes(checkout, "1.2.3") == "- Lamps."


def test_each_fault_is_told(checkout: Path) -> None:
    (checkout / "left.txt").touch()
    git(checkout, "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--allow-empty", "--message", "One more")
    tree, tag = checks.faults(checkout, "1.2.3")
    assert tree.startswith("1 files differ")
    assert tag.startswith("v1.2.3 is the tag of another commit")
    version, _, tag, section = checks.faults(checkout, "1.3")
    assert "'1.3', not like 1.2.3" in version
    assert tag.endswith("git tag --sign v1.3")
    assert "## 1.3 - YEAR-MONTH-DAY" in section
    assert checks.notes(checkout, "1.2.2") is None, "a section without a word"


# -- the signature -------------------------------------------------------------------------------------------


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a signature by a key that the second file trusts."""
    release = tmp_path / "release"
    release.mkdir()
    (release / "footnote.whl").write_bytes(b"wheel")
    (release / "NOTES.md").write_bytes(b"notes")
    key, signers = signing.throwaway_key(tmp_path)
    assert signing.sign(release, key) == 2
    return release, signers


def test_what_was_signed_is_verified_by_anyone_with_openssh(signed: tuple[Path, Path]) -> None:
    release, signers = signed
    signing.verify(release, signers)
    page = (ROOT / "docs" / "releases.md").read_text()
    command = page.partition("```sh\nssh-keygen")[2].partition("```")[0]
    done = subprocess.run(
        ["sh", "-ec", "ssh-keygen" + command.replace("docs/allowed_signers", str(signers))],
        cwd=release,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "footnote.whl: OK" in done.stdout


@pytest.mark.parametrize("altered", ["footnote.whl", signing.SUMS, "more.txt"])
def test_a_changed_or_added_file_is_refused(signed: tuple[Path, Path], altered: str) -> None:
    release, signers = signed
    with (release / altered).open("ab") as file:
        file.write(b" ")
    with pytest.raises(signing.NotAsSigned):
        signing.verify(release, signers)


def test_a_missing_file_and_another_key_are_refused(signed: tuple[Path, Path], tmp_path: Path) -> None:
    release, signers = signed
    (tmp_path / "other").mkdir()
    _, others = signing.throwaway_key(tmp_path / "other")
    with pytest.raises(signing.NotAsSigned):
        signing.verify(release, others)
    (release / "NOTES.md").unlink()
    with pytest.raises(signing.NotAsSigned, match="NOTES"):
        signing.verify(release, signers)


# -- contents ------------------------------------------------------------------------------------------------


def test_every_file_of_the_packages_is_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    command = distribution.get_command_obj("build_py")
    assert isinstance(command, build_py)
    command.ensure_finalized()
    packed = {os.path.relpath(each, command.build_lib) for each in command.get_outputs(include_bytecode=False)}
    listed = subprocess.run(
        ["git", "ls-files", "footnote", "api", "worker", "migrations"], capture_output=True, text=True
    )
    tracked = set(listed.stdout.splitlines())
    assert tracked - packed == {"migrations/script.py.mako"}, (
        "only a template for those who write migrations is left out"
    )


def test_the_weights_that_a_release_brings_are_found_and_verified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed = local.VOCABULARY.verified()
    bundled = tmp_path / local.VOCABULARY.package / installed.name
    bundled.parent.mkdir()
    bundled.write_bytes(installed.read_bytes())
    monkeypatch.setattr(model_files, "BUNDLED", tmp_path)
    assert local.VOCABULARY.verified() == bundled
    bundled.write_bytes(b"other words")
    with pytest.raises(ProviderRejected, match="install the wheel of this release again"):
        local.VOCABULARY.verified()


def test_the_contents_of_an_image_are_those_of_the_machine_that_it_is(tmp_path: Path) -> None:
    """This machine stands for an image: `docker run` in front of the same commands is all that differs."""
    target = tmp_path / "image.json"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    count = sboms.of_image("footnote-api", "1.2.3", ("env", f"PATH={path}"), target)
    told = json.loads(target.read_text())
    assert (told["bomFormat"], len(told["components"])) == ("CycloneDX", count)
    purls = {each["purl"].partition("@")[0] for each in told["components"]}
    assert {"pkg:pypi/fastapi", "pkg:deb/debian/dpkg"} <= purls


# -- images by digest ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("does", "found"), [("exit 0", "docker"), ("exit 1", None), ("exec sleep 60", None)])
def test_an_engine_that_does_not_answer_is_none(
    does: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{does}\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert images.engine(30.0 if does.startswith("exit") else 0.2) == found


def test_compose_takes_the_images_by_digest_and_builds_none(tmp_path: Path) -> None:
    override = tmp_path / "docker-compose.images.yml"
    images.write_compose(DIGESTS, override)
    files = ("--file", str(ROOT / "docker-compose.yml"), "--file", str(override))
    command = [str(Path(sys.executable).parent / "docker-compose"), *files, "config", "--format", "json"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    services = json.loads(done.stdout)["services"]
    assert [name for name, each in services.items() if "build" in each] == []
    assert services["api"]["image"] == services["migrate"]["image"] == DIGESTS["footnote-api"]
    assert services["worker"]["image"] == services["dispatcher"]["image"] == DIGESTS["footnote-worker"]


def test_kustomize_takes_the_images_by_digest(tmp_path: Path) -> None:
    target = tmp_path / "kustomization.yaml"
    images.write_kustomization(DIGESTS, target)
    told = target.read_text()
    assert "newName: registry.example/footnote/footnote-api\n    digest: sha256:abab" in told


def test_what_could_not_be_audited_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As pip-audit ends without a network; with one, `make release` runs it."""
    program = tmp_path / "pip-audit"
    program.write_text("#!/bin/sh\necho 'ConnectionError: no route' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(auditing, "TOOLS", tmp_path)
    with pytest.raises(auditing.NotAudited, match="no route"):
        auditing.vulnerabilities()
