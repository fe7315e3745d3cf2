"""Several generators: the next is asked if the one before cannot answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from footnote.errors import AccountRefused, FootnoteError
from footnote.providers import GenerationRequest, Generator, GeneratorEvent, ModelRef, Uncounted, Usage
from footnote.telemetry import log
from footnote.telemetry.metrics import fallbacks_total


class Fallback:
    """One Generator out of several. It names the model before the first piece, and never changes it after that.

    A generator is skipped if it is unavailable, too slow to begin, limited for longer than a request waits, behind an
    open circuit, writes only thoughts, or refuses our account; never because of the question. A model that a request
    names is asked first if it is one of theirs, else it is the first generator's: the others use their own.
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        self.generators = tuple(generators)
        first = self.generators[0]
        self.provider, self.address, self.model = first.provider, first.address, first.model

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """If none can answer, raises the error that allows the earliest retry."""
        failures: list[FootnoteError] = []
        generators = sorted(self.generators, key=lambda each: each.model != request.model)  # else as they were
        for generator in generators:
            asked = replace(request, model=None) if failures else request
            # A generator in this process has no other models.
            model = asked.model if asked.model and generator.address else generator.model
            named = begun = False
            try:
                async with aclosing(generator.generate(asked)) as events:
                    async for event in events:
                        if not named:
                            named = True
                            yield ModelRef(generator.provider, model)
                        # Tokens of thoughts alone must be paid for, but nothing was shown.
                        begun = begun or not isinstance(event, Usage | Uncounted)
                        yield event
                return
            except FootnoteError as error:
                if begun or not (error.retryable or isinstance(error, AccountRefused)):
                    raise
                failures.append(error)
                if len(failures) < len(generators):
                    name = f"{generator.provider}/{generator.model}"
                    fallbacks_total.labels(name, error.code).inc()
                    log.warning("the next generator is asked", failed=name, error=str(error)[:300])
        raise min(failures, key=lambda error: (not error.retryable, error.retry_after or 0.0))

    async def close(self) -> None:
        for generator in self.generators:
            await generator.close()


def models_of(generator: Generator) -> list[str]:
    """The models that a request can name."""
    generators = generator.generators if isinstance(generator, Fallback) else (generator,)
    return [*dict.fromkeys(each.model for each in generators)]
