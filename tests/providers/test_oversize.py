"""What servers say was too much, in their own words."""

import pytest

from footnote.providers.oversize import cause_of

TOLD = [
    ("This model's maximum context length is 512 tokens. However, you requested 600 tokens", ("length", 512)),
    (
        "the model's context length is only 512 tokens, resulting in a maximum input length of 512 tokens",
        ("length", 512),
    ),
    (
        "Trying to keep the first 600 tokens. However, the model is loaded with context length of only 512",
        ("length", 512),
    ),
    ("prompt is too long: 600 tokens > 512 maximum", ("length", 512)),
    ("Input validation error: `inputs` tokens must be <= 512. Given: 600 `inputs` tokens", ("length", 512)),
    ("Input length 600 exceeds maximum allowed token size 512", ("length", 512)),
    ("Too many input tokens. Max input tokens: 512, request input token count: 600", ("length", 512)),
    ("token sequence exceeds model capacity", ("length", None)),
    ("String should have at most 500 characters", ("length", None)),  # characters are no tokens
    ("input[0]参数内容长度超过限制", ("length", None)),
    ("64 instance(s) is given but the maximum number of instances is 5.", ("texts", 5)),
    ("You can embed up to 16 texts at once", ("texts", 16)),
    ("Please split your request into chunks of 16 or fewer", ("texts", None)),
    ("This model supports only one input per request", ("texts", None)),
    ("batch embeddings are not supported", ("texts", None)),
    ("Too many tokens overall, split into more batches.", ("texts", None)),
    ("<400> InternalError: batch size is invalid, it should not be larger than 10.: input.contents", ("texts", 10)),
    ("<html><head><title>413 Request Entity Too Large</title></head></html>", (None, None)),
    ("Payload Too Large", (None, None)),
    ("Invalid API key", (None, None)),
    ("The model `x` does not exist", (None, None)),
]


@pytest.mark.parametrize(("words", "what"), TOLD, ids=lambda value: str(value)[:40])
def test_what_was_too_much(words: str, what: tuple[str | None, int | None]) -> None:
    assert cause_of(words) == what
