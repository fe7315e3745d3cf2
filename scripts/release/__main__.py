"""`python -m scripts.release`: makes a release of what is committed into `dist/` and tries it.

Dry unless it is told `--real`: it says what would stop a release, goes on, and signs with a throwaway key. It uploads
nothing but images; what is left to be done by a person comes last.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from footnote import __version__
from scripts import dump_release
from scripts.release import ROOT, Report, auditing, building, checks, images, sboms, signing, trial

DIST, SIGNERS = ROOT / "dist", ROOT / "docs" / "allowed_signers"


def main() -> int:
    given = _arguments()
    report = Report()
    print(f"Footnote {__version__}, {'a release' if given.real else 'dry'}", flush=True)
    for fault in checks.faults():
        report.stop(fault)
    if given.real and report.stops:
        return 1
    with tempfile.TemporaryDirectory(prefix="fn-release-") as directory:
        _make(given, report, Path(directory))
    if given.real and report.stops:
        return 1
    _tell(given, report)
    return 0


def _arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m scripts.release", description=__doc__)
    asked.add_argument("--real", action="store_true", help="stop at the first thing that is wrong; push the images")
    asked.add_argument("--key", type=Path, help="an OpenSSH key that docs/allowed_signers names")
    asked.add_argument("--registry", help="where the images go: ghcr.io/footnote")
    given = asked.parse_args()
    if given.real and not given.key:
        asked.error("--real needs --key")
    return given


def _make(given: argparse.Namespace, report: Report, directory: Path) -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    source = building.stage(directory / "source")
    wheel, sdist = building.build(source, DIST)
    for path in (wheel, sdist):
        report.done(f"{path.name}, {path.stat().st_size / 1e6:.0f} MB")
    for name in building.lacks(wheel, source):
        report.stop(f"{name} is not in the wheel: name it in pyproject.toml")
    (directory / "trial").mkdir()
    installed = trial.install(wheel, directory / "trial")
    report.done(f"tried in an empty environment: {trial.drive(installed, __version__)}")
    _describe(given, report, installed, directory)
    _audit(report)
    if given.real and report.stops:
        return
    _images(given, report, source)
    _sign(given, report, directory)


def _describe(given: argparse.Namespace, report: Report, installed: trial.Installed, directory: Path) -> None:
    """What is in it, what has changed, and a dump by which later releases test their upgrade."""
    target = DIST / f"footnote-{__version__}.cdx.json"
    report.done(f"{target.name}: {sboms.of_environment(installed.python, target)} components")
    if notes := checks.notes(ROOT, __version__):
        (DIST / "NOTES.md").write_text(notes + "\n")
    dumps = ROOT / "tests" / "releases" if given.real else directory
    made = dump_release.dump(installed.python, installed.folder, f"v{__version__}", dumps)
    report.done(f"dump {made.name}, {sum(each.stat().st_size for each in made.iterdir()) // 1024} KB")


def _audit(report: Report) -> None:
    try:
        found = auditing.vulnerabilities()
    except auditing.NotAudited as why:
        report.leave("known vulnerabilities: the database of pip-audit could not be asked, so nothing is known")
        report.stop(f"pip-audit: {why}")
        return
    for each in found:
        report.stop(each)
    report.done(f"pip-audit: {len(found)} known vulnerabilities")


def _images(given: argparse.Namespace, report: Report, source: Path) -> None:
    if images.engine() is None:
        report.leave("images, their digests and their SBOMs: no container engine answers")
        return
    if given.real and not given.registry:
        report.leave("images: no --registry")
        return
    made = images.build(source, __version__, given.registry or "localhost", push=given.real)
    for name, reference in made.items():
        target = DIST / f"{name}-{__version__}.cdx.json"
        count = sboms.of_image(name, __version__, images.inside(reference), target)
        report.done(f"{reference}, {count} components")
    if given.real:
        images.write_compose(made, DIST / "docker-compose.images.yml")
        images.write_kustomization(made, DIST / "kustomization.yaml")


def _sign(given: argparse.Namespace, report: Report, directory: Path) -> None:
    """Signs, and proves that a changed file is noticed."""
    key, signers = (given.key, SIGNERS) if given.real else signing.throwaway_key(directory)
    count = signing.sign(DIST, key)
    signing.verify(DIST, signers)
    changed = Path(shutil.copytree(DIST, directory / "changed"))
    with next(changed.glob("*.whl")).open("r+b") as wheel:
        wheel.write(b"Q")
    try:
        signing.verify(changed, signers)
    except signing.NotAsSigned:
        report.done(f"{count} files signed and verified; a changed wheel is refused")
    else:
        sys.exit("A changed wheel was not noticed.")
    if not given.real:
        (DIST / signing.SIGNATURE).unlink()


def _tell(given: argparse.Namespace, report: Report) -> None:
    for each in report.left:
        print(f"Left: {each}")
    if given.real:
        print(f"Now: commit tests/releases, `git push origin v{__version__}`, and upload {DIST} to the index.")
    else:
        print(f"Dry: {len(report.stops)} things would stop a release. {DIST} has what was made.")


if __name__ == "__main__":
    sys.exit(main())
