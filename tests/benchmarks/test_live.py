"""The judged questions, asked of a model behind an address: which settings, what it may cost, and failures."""

from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.evaluation import live
from benchmarks.evaluation.live import REQUEST_SECONDS, Patient, cost, models
from footnote.settings import Price, Settings

pytestmark = pytest.mark.anyio
NEAR = Settings(_env_file=None, openai_base_url="http://127.0.0.1:11434/v1", chat_model="llama3.1")
FAR = NEAR.model_copy(update={"openai_base_url": "https://api.example.com/v1", "openai_api_key": "sk-1"})


def test_the_model_alone_writes_every_answer() -> None:
    assert models(NEAR) == {
        "FOOTNOTE_EMBEDDER": "local",
        "FOOTNOTE_GENERATOR": "openai",
        "FOOTNOTE_ANSWER_CACHE_SECONDS": "0",
        "OPENAI_BASE_URL": "http://127.0.0.1:11434/v1",
        "FOOTNOTE_CHAT_MODEL": "llama3.1",
    }
    assert models(FAR)["OPENAI_API_KEY"] == "sk-1"


def test_what_a_run_may_cost() -> None:
    assert cost(NEAR, 64) == 0
    assert cost(FAR, 64) is None
    priced = FAR.model_copy(update={"prices": {"llama3.1": Price(input=Decimal(1), output=Decimal(2))}})
    assert cost(priced, 64) == Decimal("0.6144")


async def test_a_question_that_fails_is_a_wrong_answer(tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("fn_key")
    product = Patient("http://127.0.0.1:9", tmp_path)

    async def failing(_path: str, _body: object) -> dict[str, object]:
        raise SystemExit("503 provider_timeout")

    product._post = failing  # type: ignore[assignment]
    reply = await product.answer("Why?", "c")
    assert (reply["answer"], reply["citations"]) == ("503 provider_timeout", [])
    assert product.client.timeout.read == REQUEST_SECONDS
    await product.client.aclose()


@pytest.mark.parametrize("base_url", ["", "https://api.example.com/v1"])
def test_nothing_is_asked_without_an_address_or_a_price(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "questions.jsonl").write_text("")
    (tmp_path / "answers" / "collections.json").write_text("{}")
    monkeypatch.setattr("sys.argv", ["live", "--corpora", str(tmp_path), "--data", str(tmp_path)])
    assert live.main() == (1 if base_url else 0)
    assert "not asked" in capsys.readouterr().out
