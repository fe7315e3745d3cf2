"""`tests.processes` over a small suite of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

CONFTEST = """
import os
import pytest

@pytest.fixture(scope="session", autouse=True)
def server(tmp_path_factory):
    own = tmp_path_factory.mktemp("server")
    yield
    with open("ended", "a") as ended:
        ended.write(f"{os.getpid()} {own}\\n")

@pytest.fixture(scope="module", autouse=True)
def product(request):
    yield
    with open("left", "a") as left:
        left.write(f"{request.module.__name__}\\n")
"""
GOOD = """
import os
import pytest

@pytest.mark.parametrize('n', range(5))
def test_good(n):
    print(f'good {os.getpid()}')
"""
BAD = "def test_wrong():\n    print('wrong here')\n    assert 1 == 2\ndef test_right(): ...\n"
DEADLY = "import os\ndef test_before(): ...\ndef test_deadly(): os._exit(7)\ndef test_behind(): ...\n"


def run(folder: Path, *options: str) -> list[str]:
    """The lines that the run of the folder's tests writes."""
    for name, content in {"conftest": CONFTEST, "test_good": GOOD, "test_also_good": GOOD}.items():
        (folder / f"{name}.py").write_text(content)
    command = [sys.executable, "-m", "pytest", "-p", "tests.processes", "-p", "no:cacheprovider", *options]
    env = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_each_process_ends_what_it_began_and_is_the_only_one_to_run_a_file(tmp_path: Path):
    said = run(tmp_path, "-q", "-rP", "--processes", "2")
    assert said[-1].startswith("10 passed"), said
    servers = [line.split() for line in (tmp_path / "ended").read_text().splitlines()]
    assert len({own for _, own in servers}) == 2
    ran = [line.removeprefix("good ") for line in said if line.startswith("good ")]
    assert {pid: ran.count(pid) for pid, _ in servers} == {pid: 5 for pid, _ in servers}
    assert sorted((tmp_path / "left").read_text().split()) == ["test_also_good", "test_good"]


@pytest.mark.parametrize("processes", ["1", "3"])
def test_the_last_lines_name_what_failed(tmp_path: Path, processes: str):
    (tmp_path / "test_bad.py").write_text(BAD)
    said = run(tmp_path, "--processes", processes)
    assert said[-2] == "failed: test_bad.py::test_wrong"
    assert "1 failed, 11 passed" in said[-1]
    assert "wrong here" in said, "what it had written is shown"


def test_a_process_that_dies_costs_its_test_and_no_other(tmp_path: Path):
    (tmp_path / "test_deadly.py").write_text(DEADLY)
    said = run(tmp_path, "--processes", "3")
    assert said[-2] == "failed: test_deadly.py::test_deadly"
    assert "1 failed, 12 passed" in said[-1]
    assert "The process of the test ended with status 7." in said


def test_a_run_that_stops_early_ends_its_processes(tmp_path: Path):
    (tmp_path / "test_bad.py").write_text(BAD)
    said = run(tmp_path, "--processes", "3", "--exitfirst")
    assert "failed: test_bad.py::test_wrong" in said
    assert len((tmp_path / "ended").read_text().splitlines()) == 3
