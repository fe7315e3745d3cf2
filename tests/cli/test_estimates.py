from pathlib import Path

from tests.cli.conftest import Footnote, Reply, StubApi, problem

ESTIMATE = {"documents": 1, "pages": 2, "chunks": 3, "tokens": 40, "new_tokens": 30, "cost": 0.5}


def test_a_dry_run_sums_up_and_adds_nothing(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x")
    stub.on("POST", "/v1/documents/estimate", Reply({**ESTIMATE, "provider": "p", "model": "m"}))
    ran = footnote("add", "--dry-run", str(tmp_path))
    line = "2 pages, 3 chunks, 40 tokens, 30 of them new, $0.5000"
    total = "2 files: 4 pages, 6 chunks, 80 tokens, 60 of them new, $1.0000"
    assert ran.out.splitlines() == [f"{tmp_path}/a.txt  {line}", f"{tmp_path}/b.txt  {line}", total]
    assert [(asked.method, asked.path) for asked in stub.asked] == [("POST", "/v1/documents/estimate")] * 2
    assert footnote("add", "--dry-run", "--json", str(tmp_path)).json["total"]["new_tokens"] == 60


def test_a_file_that_cannot_be_added_says_why(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    stub.on("POST", "/v1/documents/estimate", problem(422, "no_text", "No text was found."))
    ran = footnote("add", "--dry-run", str(tmp_path / "a.txt"))
    assert (ran.code, ran.out) == (1, f"{tmp_path}/a.txt  no_text: No text was found.\n")
