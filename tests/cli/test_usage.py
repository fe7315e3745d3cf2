from tests.cli.conftest import Footnote, Reply, StubApi

COUNTS = {
    "documents": 1,
    "queries": 2,
    "embedding_tokens": 30,
    "prompt_tokens": 4,
    "completion_tokens": 5,
    "cost": 0.25,
}


def test_usage_is_a_table_with_a_total(stub: StubApi, footnote: Footnote) -> None:
    row = {"day": "2026-01-02", "key_id": "key_1", "key_name": "laptop", **COUNTS}
    anonymous = {**row, "key_id": "", "key_name": None, "cost": None}
    person = {**anonymous, "key_id": "oidc_1", "cost": 0.5}
    stub.on("GET", "/v1/usage", Reply({"data": [row, anonymous, person], "total": COUNTS}))
    ran = footnote("usage", "--from", "2026-01-01")
    assert ran.out.splitlines() == [
        "DAY         KEY     DOCUMENTS  QUERIES  EMBEDDED  PROMPT  COMPLETION  COST",
        "2026-01-02  laptop  1          2        30        4       5           0.2500",
        "2026-01-02          1          2        30        4       5",
        "2026-01-02  oidc_1  1          2        30        4       5           0.5000",
        "TOTAL               1          2        30        4       5           0.2500",
    ]
    stub.on("GET", "/v1/usage", Reply({"data": [row], "total": {**COUNTS, "estimated": True}}))
    assert footnote("usage").out.splitlines()[-1] == "Estimated in part: a provider did not count all tokens."
    stub.on("GET", "/v1/usage", Reply({"data": [row], "total": COUNTS}))
    assert footnote("usage", "--by", "model", "--json").json["total"] == COUNTS


def test_usage_by_model_names_no_key(stub: StubApi, footnote: Footnote) -> None:
    row = {"day": "2026-01-02", "provider": "local", "model": "small", **COUNTS}
    stub.on("GET", "/v1/usage", Reply({"data": [row], "total": COUNTS}))
    assert footnote("usage", "--by", "day", "--by", "model").out.splitlines() == [
        "DAY         PROVIDER  MODEL  DOCUMENTS  QUERIES  EMBEDDED  PROMPT  COMPLETION  COST",
        "2026-01-02  local     small  1          2        30        4       5           0.2500",
        "TOTAL                        1          2        30        4       5           0.2500",
    ]
