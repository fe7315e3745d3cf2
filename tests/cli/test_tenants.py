"""`footnote tenants` on a real database."""

from pathlib import Path

import pytest

from tests.cli.conftest import Footnote


def test_quotas_are_set_for_a_tenant_by_name(
    own_database: str, footnote: Footnote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", own_database)
    monkeypatch.chdir(tmp_path)
    made = footnote("tenants", "create", "ours", "--json").json
    assert made["api_key"].startswith("fn_")

    assert footnote("tenants", "set-quota", "ours").json == {}
    quotas = footnote("tenants", "set-quota", "ours", "--documents", "3", "--bytes", "5000", "--usd", "1.5")
    assert (quotas.code, quotas.json) == (0, {"documents": "3", "bytes": "5000", "usd": "1.5"})
    changed = footnote("tenants", "set-quota", "ours", "--documents", "4", "--tokens", "0")
    assert changed.json == {"documents": "4", "bytes": "5000", "usd": "1.5", "tokens": "0"}
    assert footnote("tenants", "set-quota", "ours", "--usd", "2", "--default").json == {"usd": "2.0"}

    unknown = footnote("tenants", "set-quota", "unknown", "--documents", "3")
    assert (unknown.code, unknown.out) == (1, "")
    assert "unknown" in unknown.err
    assert footnote("tenants", "set-quota", "ours", "--documents", "-1").code == 2
    assert footnote("tenants", "set-quota", "ours").json == {"usd": "2.0"}


def test_a_tenant_is_listed_and_deleted_by_name(
    own_database: str, footnote: Footnote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", own_database)
    monkeypatch.chdir(tmp_path)
    for name in ("ours", "theirs"):
        footnote("tenants", "create", name)
    [ours, theirs] = footnote("tenants", "list", "--json").json
    assert (ours["name"], ours["counts"], ours["deleted_at"]) == ("ours", {"documents": 0, "bytes": 0}, None)
    assert [line.split()[-1] for line in footnote("tenants", "list").out.splitlines()] == ["NAME", "ours", "theirs"]

    monkeypatch.setattr("typer.prompt", lambda text: "our")
    kept = footnote("tenants", "delete", "ours")
    assert (kept.code, kept.out) == (1, "")
    assert footnote("tenants", "delete", "unknown", "--yes").code == 1
    monkeypatch.setattr("typer.prompt", lambda text: "ours")
    gone = footnote("tenants", "delete", "ours")
    assert gone.out.startswith(f"{ours['id']} (ours) is deleted: 0 documents, 0 versions,"), gone.err
    assert footnote("tenants", "list", "--json").json == [theirs]
    [receipt] = footnote("tenants", "list", "--deleted", "--json").json
    assert (receipt["name"], receipt["counts"]["rows"]) == ("ours", {"api_key": 1})
    assert ours["id"] in footnote("tenants", "list", "--deleted").out
    assert footnote("tenants", "create", "ours").code == 0
    assert footnote("tenants", "delete", "ours", "--yes", "--json").json["finished_at"]


@pytest.mark.parametrize("command", [("tenants", "list"), ("pause",), ("audit",)])
def test_without_a_database_the_missing_stack_is_named(
    footnote: Footnote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("FOOTNOTE_DATA_DIR", str(tmp_path))
    ran = footnote(*command)
    told = f"No stack runs on {tmp_path}: set FOOTNOTE_DATA_DIR to its folder, or DATABASE_URL.\n"
    assert (ran.code, ran.out, ran.err) == (1, "", told)
