"""How families of models cite, recorded word for word from what they are known to write, and what becomes of it.

Each is streamed in pieces of several sizes through the parts that a model's words pass: thoughts are removed, markers
become footnotes, quotes are checked.
"""

from collections.abc import Sequence

import pytest

from footnote.answering import Citation, Delta
from footnote.answering.cited_text import Draft, PageExcerpt
from footnote.providers.thoughts import Thoughts
from footnote.retrieval import Hit

LAMP = "The lamp of Fairhaven burns colza oil. Agnes Tolmie built the tower in 1874. It stands 31 metres above the sea."
FOG = "The siren stalls at 2.1 bar. It needs twenty minutes to recover. Two keepers live beside it."
BOAT = "The relief boat Petrel leaves on every second Thursday, weather permitting."
PAGES = {"lamp.txt": LAMP, "fog.txt": FOG, "boat.txt": BOAT}


def hit(number: int, filename: str, text: str) -> Hit:
    return Hit(
        chunk_id=f"c{number}",
        document_id=f"d{number}",
        version_id=f"v{number}",
        filename=filename,
        version=1,
        position=0,
        page_start=1,
        page_end=1,
        char_start=0,
        char_end=len(text),
        heading="",
        subject="",
        text=text,
        score=1.0,
        fused_rank=number,
        metadata={},
        similarity=None,
        coverage=None,
        vector_rank=None,
        keyword_rank=None,
        bm25=None,
        exact_matches=None,
        embedding=None,
        space_id=0,
    )


HITS = [hit(number, name, text) for number, (name, text) in enumerate(PAGES.items(), 1)]
PLACES = {each.chunk_id: PageExcerpt(each.text, 0, "text/plain") for each in HITS}


def told(answer: str, size: int) -> Draft:
    """The draft, when the answer has come in pieces of `size`."""
    thoughts, draft = Thoughts(holds=False), Draft(HITS, PLACES, (), "Who built the tower of Fairhaven?")
    events = []
    for start in range(0, len(answer), size):
        events += draft.feed(thoughts.feed(answer[start : start + size]))
    events += draft.feed(thoughts.close()) + draft.close()
    assert "".join(each.text for each in events if isinstance(each, Delta)) == draft.text
    assert [each for each in events if isinstance(each, Citation)] == list(draft.footnotes.values())
    return draft


TOWER, OIL, STALLS, BACK = (
    "Agnes Tolmie built the tower in 1874.",
    "The lamp of Fairhaven burns colza oil.",
    "The siren stalls at 2.1 bar.",
    "It needs twenty minutes to recover.",
)
STYLES: dict[str, tuple[str, str | None, Sequence[str]]] = {
    "as asked: marker with quote (GPT-4o, Claude, Qwen)": (
        f'The tower was built in 1874 [1: "{TOWER}"]. It burns colza [1: "burns colza oil"].',
        "The tower was built in 1874 [1]. It burns colza [2].",
        [TOWER, "burns colza oil"],
    ),
    "bare markers (Llama 3, Mistral)": (
        "Agnes Tolmie built the tower in 1874 [1]. The siren stalls at 2.1 bar [2].",
        "Agnes Tolmie built the tower in 1874 [1]. The siren stalls at 2.1 bar [2].",
        [TOWER, STALLS],
    ),
    "markers behind the full stop, several at once (GPT-3.5, Gemini)": (
        "Agnes Tolmie built the tower in 1874. [1] It stalls at 2.1 bar and recovers in twenty minutes. [2][2, 3]",
        None,
        [TOWER, f"{STALLS} {BACK}"],
    ),
    "parentheses (Gemma, Phi)": (
        "Agnes Tolmie built the tower in 1874 (1). The siren stalls at 2.1 bar (2).",
        "Agnes Tolmie built the tower in 1874 [1]. The siren stalls at 2.1 bar [2].",
        [TOWER, STALLS],
    ),
    "the word source (Llama 2, Vicuna, Zephyr)": (
        "According to the sources, Agnes Tolmie built the tower in 1874 [Source 1]. It stalls at 2.1 bar (Source 2).",
        "According to the sources, Agnes Tolmie built the tower in 1874 [1]. It stalls at 2.1 bar [2].",
        [TOWER, STALLS],
    ),
    "lenticular brackets (OpenAI Assistants)": (
        "Agnes Tolmie built the tower in 1874【1†source】. The siren stalls at 2.1 bar【2:0†fog.txt】.",
        "Agnes Tolmie built the tower in 1874[1]. The siren stalls at 2.1 bar[2].",
        [TOWER, STALLS],
    ),
    "carets (Mixtral, Command)": (
        "Agnes Tolmie built the tower in 1874.^1 The siren stalls^2, as they say.",
        "Agnes Tolmie built the tower in 1874.[1] The siren stalls[2], as they say.",
        [TOWER, STALLS],
    ),
    "footnotes of Markdown, defined at the end (Claude 2, Mistral Large)": (
        "Agnes Tolmie built the tower in 1874.[^1] The siren stalls at 2.1 bar.[^2]\n\n"
        '[^1]: "Agnes Tolmie built the tower in 1874."\n[^2]: fog.txt\n',
        "Agnes Tolmie built the tower in 1874.[1] The siren stalls at 2.1 bar.[2]",
        [TOWER, STALLS],
    ),
    "superscripts (Perplexity, Kimi)": (
        "Agnes Tolmie built the tower in 1874.¹ The siren stalls at 2.1 bar.²",
        "Agnes Tolmie built the tower in 1874.[1] The siren stalls at 2.1 bar.[2]",
        [TOWER, STALLS],
    ),
    "raised by HTML (DeepSeek)": (
        "Agnes Tolmie built the tower in 1874<sup>1</sup>. The siren stalls at 2.1 bar<sup>[2]</sup>.",
        "Agnes Tolmie built the tower in 1874[1]. The siren stalls at 2.1 bar[2].",
        [TOWER, STALLS],
    ),
    "a list of sources and no marker (SmolLM, TinyLlama)": (
        "The tower was made by Tolmie.\n\n**Sources:**\n- [1] lamp.txt\n",
        "The tower was made by Tolmie. [1]",
        [TOWER],
    ),
    "sentences of the source and no marker (Qwen 0.5B, SmolLM)": (
        "Agnes Tolmie built the tower in 1874. The siren stalls at 2.1 bar.",
        "Agnes Tolmie built the tower in 1874. [1] The siren stalls at 2.1 bar. [2]",
        ["Agnes Tolmie built the tower in 1874.", "The siren stalls at 2.1 bar."],
    ),
    "JSON (function-calling fine-tunes, Hermes)": (
        '```json\n{"answer": "The tower was built in 1874.",\n'
        '"citations": [{"source": 1, "quote": "built the tower in 1874"}]}\n```',
        "The tower was built in 1874 [1].",
        ["built the tower in 1874"],
    ),
    "thoughts first (DeepSeek R1, QwQ)": (
        "<think>\nSource 2 [2] is about the siren. (1) is it.\n</think>\n\nAgnes Tolmie built it in 1874 [1].",
        "Agnes Tolmie built it in 1874 [1].",
        [TOWER],
    ),
    "the quote before its marker (Claude Instant, Granite)": (
        "The source says “It needs twenty minutes to recover” [2].",
        "The source says “It needs twenty minutes to recover” [1].",
        ["It needs twenty minutes to recover"],
    ),
    "a quote under the wrong number (Phi 2, Gemma 2B)": (
        'It stalls at 2.1 bar [1: "The siren stalls at 2.1 bar."].',
        "It stalls at 2.1 bar [1].",
        [STALLS],
    ),
    "lists with numbers of their own (all)": (
        "(1) The tower is of 1874 [1].\n(2) The siren stalls at 2.1 bar [2].",
        "(1) The tower is of 1874 [1].\n(2) The siren stalls at 2.1 bar [2].",
        [TOWER, STALLS],
    ),
    "code (Codestral, StarCoder)": (
        "The siren stalls at 2.1 bar [2]:\n```\nstalls = bars[1]\n```",
        "The siren stalls at 2.1 bar [1]:\n```\nstalls = bars[1]\n```",
        [STALLS],
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_familys_citations_become_checked_footnotes(style: str) -> None:
    said, answer, quotes = STYLES[style]
    for size in (1, 3, 16, len(said)):
        draft = told(said, size)
        assert answer is None or draft.text.strip() == answer, size
        footnotes = list(draft.footnotes.values())
        assert [each.quote for each in footnotes][: len(quotes)] == list(quotes), size
        assert all(each.verified for each in footnotes)
        assert draft.status == "supported", draft.unsupported


@pytest.mark.parametrize(
    ("said", "reason", "missing"),
    [
        ("Agnes Tolmie built the tower in 1875 [1].", "not_in_quote", ("1875",)),
        ('The siren stalls at 3.1 bar [2: "The siren stalls at 2.1 bar."].', "not_in_quote", ("3.1",)),
        ("The lamp of Fairhaven does not burn colza oil [1].", "quote_denies", ()),
        ("Agnes Petrie built the tower in 1874 [1].", "not_in_quote", ("Petrie",)),
        ("Tolmie also kept a garden.", "no_footnote", ()),
        ('It burns gas [1: "The lamp of Fairhaven burns gas."].', "quote_not_found", ()),
    ],
)
def test_what_a_model_adds_is_not_supported(said: str, reason: str, missing: Sequence[str]) -> None:
    for size in (1, len(said)):
        [sentence] = told(said, size).unsupported
        assert (sentence.reason, [each.split()[0] for each in sentence.missing]) == (reason, list(missing))
