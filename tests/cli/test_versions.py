"""One place says which version this is; everything that tells it says the same."""

import json

from setuptools.config.pyprojecttoml import read_configuration

from api.app import create_app
from footnote import __version__
from tests import ROOT
from tests.cli.conftest import Footnote, Reply, StubApi


def test_a_package_has_the_version_of_the_code() -> None:
    project = read_configuration(str(ROOT / "pyproject.toml"))["project"]
    assert project["version"] == __version__


def test_the_description_of_the_api_tells_it() -> None:
    assert create_app().version == __version__
    assert json.loads((ROOT / "docs" / "openapi.json").read_text())["info"]["version"] == __version__


def test_the_command_line_tells_it_to_people_and_the_client_to_servers(stub: StubApi, footnote: Footnote) -> None:
    assert footnote("--version").out == f"footnote {__version__}\n"
    stub.on("GET", "/v1/usage", Reply(status=401))
    footnote("usage")
    assert {each.headers["user-agent"] for each in stub.asked} == {f"footnote-python/{__version__}"}
