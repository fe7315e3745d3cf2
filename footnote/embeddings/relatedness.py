"""How related two texts are by a cosine, which says something else with each model: a scale for each space.

One model gives texts that have nothing to do with each other a cosine of 0, another one 0.75. So what is measured for
pairs of a question and its answer, and for those questions and other answers, says what a cosine is worth.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from footnote.embeddings import vector_lengths
from footnote.errors import FootnoteError
from footnote.models import EmbeddingSpace
from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.telemetry import log

DEVIATIONS = 3  # from the mean of unrelated texts, beyond which few of them are
NARROWEST = 0.01  # between noise and related; a model with less cannot distinguish them


@dataclass(frozen=True)
class Scale:
    """Cosines of a model: what unrelated texts stay below, and the mean of questions and their answers."""

    noise: float
    related: float

    def relatedness(self, cosine: float) -> float:
        """The cosine that the reference model would give to texts that are as related, roughly."""
        width = (REFERENCE.related - REFERENCE.noise) / (self.related - self.noise)
        return REFERENCE.noise + (cosine - self.noise) * width

    def cosine(self, relatedness: float) -> float:
        """What `relatedness` is the value of."""
        width = (self.related - self.noise) / (REFERENCE.related - REFERENCE.noise)
        return self.noise + (relatedness - REFERENCE.noise) * width


# Of all-MiniLM-L6-v2, with which the least evidence for an answer was learned.
REFERENCE = Scale(0.2394, 0.7315)
# Models in this process, which need not be measured again; a test measures them.
KNOWN = {
    ("local", "all-MiniLM-L6-v2"): REFERENCE,
    ("local-multilingual", "multilingual-e5-small"): Scale(0.8102, 0.8962),
}


def scale_of(space: EmbeddingSpace) -> Scale:
    """The reference scale, until the space was measured."""
    if space.noise is not None and space.related is not None:
        return Scale(space.noise, space.related)
    return KNOWN.get((space.provider, space.model), REFERENCE)


async def measured(embedder: Embedder) -> Scale:
    """By a call or two for short texts, of 1,000 tokens together. Raises what the embedder does."""
    asked = await embedder.embed([embedder.question_prefix + question for question, _ in PAIRS])
    answers = await embedder.embed([answer for _, answer in PAIRS])
    cosines: Sequence[Sequence[float]] = (asked.vectors @ answers.vectors.T).tolist()
    related = [row[index] for index, row in enumerate(cosines)]
    unrelated = [each for index, row in enumerate(cosines) for other, each in enumerate(row) if other != index]
    return Scale(statistics.fmean(unrelated) + DEVIATIONS * statistics.pstdev(unrelated), statistics.fmean(related))


async def learn(rt: Runtime) -> None:
    """Measures the models elsewhere of which nothing is known yet. What cannot be asked now is measured later."""
    async with rt.transaction() as session:
        spaces = (await session.scalars(select(EmbeddingSpace).where(EmbeddingSpace.noise.is_(None)))).all()
    for space in spaces:
        try:
            await measure(rt, space)
        except FootnoteError as error:
            log.info("embedding model not measured", model=f"{space.provider}/{space.model}", error=error.message)


async def measure(rt: Runtime, space: EmbeddingSpace) -> None:
    """Measures the model of a space of which nothing is known yet. Raises what the embedder does."""
    if space.noise is None and (space.provider, space.model) not in KNOWN:
        await _learn(rt, space)


async def _learn(rt: Runtime, space: EmbeddingSpace) -> None:
    scale = await measured(vector_lengths.embedder_of(rt, space))
    if scale.related - scale.noise < NARROWEST:
        log.warning("the embedding model does not distinguish texts", model=f"{space.provider}/{space.model}")
        scale = REFERENCE
    values = {"noise": scale.noise, "related": scale.related}
    await rt.execute(update(EmbeddingSpace).where(EmbeddingSpace.id == space.id).values(**values))


PAIRS = (
    (
        "How long does a washing machine's warranty last?",
        "Every washing machine comes with a warranty of five years on the motor and two years on all other parts.",
    ),
    (
        "When was the bridge over the river opened?",
        "After eleven years of construction, the bridge over the river was opened to traffic in May 1932.",
    ),
    (
        "Who wrote the report on water quality?",
        "The report on water quality was written by the chemist Anna Lindqvist and two colleagues.",
    ),
    (
        "What does the train ticket to the airport cost?",
        "A single train ticket to the airport costs 12 euros; children under six travel free of charge.",
    ),
    (
        "How do I reset my password?",
        "To reset your password, click on Forgot password on the login page and follow the link in the e-mail.",
    ),
    (
        "Which vaccine protects against measles?",
        "Measles can be prevented by the combined vaccine against measles, mumps and rubella, given in two doses.",
    ),
    (
        "How many employees work at the factory?",
        "At the end of the year 1,240 employees worked at the factory, 60 more than a year earlier.",
    ),
    (
        "What is photosynthesis?",
        "Photosynthesis is the process by which plants turn light, water and carbon dioxide into sugar and oxygen.",
    ),
    (
        "Can the lease be terminated early?",
        "Either party may terminate the lease before its end with three months' notice in writing.",
    ),
    (
        "What temperature should the oven have for bread?",
        "Bake the bread for forty minutes in an oven that was preheated to 230 degrees.",
    ),
    (
        "Why do birds migrate in winter?",
        "Many birds migrate south in winter because they find too little food in the cold season.",
    ),
    (
        "What was the revenue of the company last year?",
        "Revenue of the company rose by eight percent to 3.1 billion dollars last year.",
    ),
    (
        "How is an array sorted in this language?",
        "Call the method sort on an array to sort its elements in ascending order, or by a function that compares.",
    ),
    (
        "Where do I have to register a new car?",
        "A new car must be registered at the vehicle office of the district in which its owner lives.",
    ),
    ("What are the side effects of the drug?", "The most common side effects of the drug are headache and nausea."),
    (
        "Which team won the final of the championship?",
        "The home team won the final of the championship by three goals to one after extra time.",
    ),
)
