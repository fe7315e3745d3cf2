"""What a model writes for itself is no part of its answer, in whatever form a chat template lets it through."""

from collections.abc import AsyncGenerator

import pytest

from footnote.database.redis_client import Shared
from footnote.errors import ProviderRejected, Unavailable
from footnote.providers import GenerationRequest, Generator, GeneratorEvent, Token, Truncated, Uncounted, Usage
from footnote.providers.guarded import guard_generators
from footnote.providers.thoughts import Thoughts
from footnote.settings import Settings
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio

ANSWER = "The lamp burns oil [1]."
MARKED = [
    "<think>Let me look.</think>",
    "<think>\nIs it <b>oil</b>?\n</think>\n\n",
    "<thinking>Let me look.</thinking>\n",
    '<Think effort="high">Let me look.</Think>',
    "<seed:think>Let me look.</seed:think>",
    "<reasoning>Let me look.</reasoning>",
    "<thought>Let me look.</thought>",
    "[THINK]Let me look [1].[/THINK]",
    "◁think▷Let me look.◁/think▷",
    "<|channel|>analysis<|message|>Let me look.<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|start|>assistant<|channel|>analysis<|message|>Let me.<|end|>\n<|start|>assistant<|channel|>final <|message|>",
    "<|channel|>analysis Let me look. <|channel|>final<|message|>",
    "analysisLet me look.assistantfinal",
    "<|begin_of_thought|>Let me look.<|end_of_thought|>",
    "<|START_THINKING|>Let me look.<|END_THINKING|>",
    "<unused94>thought\nLet me look.<unused95>",
    "<|channel>thought\nLet me look.<channel|>",
    "Here is my thought process:\nLet me look.\n\nHere is my response:\n\n",
    "Here's my thought process: Let me look. Here's my response: ",
    '<details type="reasoning" done="true">Let me look.</details>\n',
    "<think>One.</think>\n<think>Two.</think>\n",
    "<think></think>",
    "\n<think>\n\n</think>\n\n",
]
UNMARKED = [
    "Let me look.</think>",
    "Let me look, at <b>oil</b>.\n</think>\n\n",
    "Let me look.[/THINK]\n",
    "Let me look.◁/think▷",
    'It says "oil"</think>',
    "Let me look.</seed:think>\n",
    "Let me look.<channel|>",
]


def heard(text: str, size: int, *, holds: bool = True, ended: bool = True) -> tuple[list[str], Thoughts]:
    thoughts = Thoughts(holds=holds)
    shown = [thoughts.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return [*shown, thoughts.close(ended=ended)], thoughts


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("thought", MARKED + UNMARKED)
def test_thoughts_are_left_out_however_the_text_is_cut(thought: str, size: int) -> None:
    shown, thoughts = heard(thought + ANSWER, size)
    assert "".join(shown).strip() == ANSWER
    assert thoughts.thought
    assert thoughts.unmarked == (thought in UNMARKED)


@pytest.mark.parametrize("thought", MARKED)
def test_marked_thoughts_are_known_at_once(thought: str) -> None:
    """The answer after them is passed on as it comes, and nothing of them before."""
    thoughts = Thoughts(holds=True)
    assert all(thoughts.feed(char).strip() == "" for char in thought)
    assert "".join(thoughts.feed(char) for char in f"{ANSWER} More").strip().startswith(ANSWER)


@pytest.mark.parametrize(
    "text",
    [
        "Models write `<think>` first and </think> last.",
        "First <think> opens. Then comes </think>\nand the answer.",
        "The closing tag is `</think>`.\nNo more.",
        "It ends with '[/THINK]' there.",
        "So </think> ends it.",
        "```\n<think>\nx\n</think>\n```",
        "[1] says so, and [THINK] is a word.",
        "<answer> is a tag, as is <thin>.",
        "Analysis shows oil; analysis: oil.",
        "Here is my lamp. Here is my response: oil.",
        "Her",
        "a < b, <b>bold</b>",
        "",
    ],
)
def test_tags_that_are_spoken_of_stay(text: str) -> None:
    for size in (1, 3, 1000):
        for holds in (True, False):
            shown, thoughts = heard(text, size, holds=holds)
            assert "".join(shown) == text
            assert not thoughts.unmarked
            assert not thoughts.late


@pytest.mark.parametrize(
    "thought", ["<think>Let me look", "[THINK]Let me", "<|channel|>analysis<|message|>Let me look"]
)
def test_a_thought_without_an_end_is_no_answer(thought: str) -> None:
    shown, thoughts = heard(thought, 3)
    assert ("".join(shown), thoughts.thought) == ("", True)


def test_a_wrapped_answer_is_unwrapped() -> None:
    for size in (1, 1000):
        assert "".join(heard(f"<think>x</think>\n<answer>\n{ANSWER}\n</answer>\n", size)[0]).strip() == ANSWER


def test_an_answer_between_marks_of_its_own() -> None:
    text = f"Here are my reasoning steps:\nLet me look.\n[BEGIN FINAL RESPONSE]\n{ANSWER}\n[END FINAL RESPONSE]\n"
    for size in (1, 7, 1000):
        assert "".join(heard(text, size)[0]).strip() == ANSWER


# -- as the product has it ------------------------------------------------------------------------------------


class Saying(FakeGenerator):
    """A model at an address, which says `pieces` and ends as told."""

    address = "http://127.0.0.1:9/v1"  # type: ignore[assignment]
    ending: tuple[GeneratorEvent, ...] = (Usage(3, 2),)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        for piece in self.pieces:
            yield Token(piece)
        for event in self.ending:
            yield event


def guarded(model: Saying) -> Generator:
    return guard_generators([model], Shared(None), Settings(_env_file=None), interactive=True).generators[0]


async def said(generator: Generator, **options: str) -> list[GeneratorEvent]:
    return [event async for event in generator.generate(GenerationRequest("Why?", (), **options))]  # type: ignore[arg-type]


async def test_the_first_answer_of_a_model_is_held_back_until_it_is_known_to_be_one() -> None:
    model = Saying()
    generator = guarded(model)
    model.pieces = ["Let me ", "look.</think>", "\n\nThe lamp", " burns."]
    assert await said(generator) == [Token("The lamp"), Token(" burns."), Usage(3, 2)]
    model.pieces = ["A thought.", "</think>", " An", " answer."]
    assert await said(generator) == [Token("An"), Token(" answer."), Usage(3, 2)]
    model.pieces = ["An", " answer."]
    assert await said(generator) == [Token("An answer."), Usage(3, 2)]
    assert await said(generator) == [Token("An"), Token(" answer."), Usage(3, 2)], "it does not think aloud any more"
    assert await said(generator, model="other") == [Token("An answer."), Usage(3, 2)], "another model may"


async def test_a_thought_that_shows_itself_too_late_is_an_error() -> None:
    model = Saying()
    generator = guarded(model)
    model.pieces = ["An", " answer."]
    await said(generator)
    model.pieces = ["Let me look.\n", "</think>", "\nThe lamp", " burns."]
    with pytest.raises(Unavailable, match="ask again"):
        await said(generator)
    assert (await said(generator))[0] == Token("The lamp")


async def test_an_answer_that_is_cut_among_its_thoughts() -> None:
    model = Saying()
    generator = guarded(model)
    model.ending = (Usage(3, 2), Truncated())
    for pieces in (["<think>", "Let me"], ["[THINK]"]):
        model.pieces = pieces
        with pytest.raises(ProviderRejected, match="max_tokens"):
            await said(generator)
    model.pieces = ["An", " answer"]
    assert await said(generator) == [Token("An answer"), Usage(3, 2), Truncated()]
    model.pieces, model.ending = ["Thought</think>", "\nAn answer."], (Usage(3, 2),)
    await said(generator)
    model.pieces, model.ending = ["Thought without"], (Usage(3, 2), Truncated())
    with pytest.raises(ProviderRejected, match="max_tokens"):
        await said(generator)


async def test_thoughts_that_the_server_keeps_apart_are_no_answer_either() -> None:
    class Apart(Saying):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            request.thought("Let me look, and look again, for as long as it takes.")
            async for event in super().generate(request):
                yield event

    model = Apart()
    generator = guarded(model)
    model.pieces, model.ending = [], ()
    with pytest.raises(Unavailable, match="wrote thoughts but no answer"):
        await said(generator)
    model.ending = (Truncated(),)
    with pytest.raises(ProviderRejected, match="max_tokens"):
        await said(generator)
    model.pieces, model.ending = ["Oil."], ()
    answer, uncounted = await said(generator)
    assert answer == Token("Oil.")
    assert isinstance(uncounted, Uncounted)
    assert uncounted.completion_tokens > 10, "they are paid, too"


async def test_servers_that_keep_thoughts_apart_are_not_held_back() -> None:
    model = Saying()
    model.address = "https://api.openai.com/v1"
    model.pieces = ["An", " answer."]
    assert await said(guarded(model)) == [Token("An"), Token(" answer."), Usage(3, 2)]
