"""Several generators, the next being asked where the one before cannot answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from footnote.errors import AccountRefused, FootnoteError
from footnote.providers import GenerationRequest, Generator, GeneratorEvent, ModelRef, Uncounted, Usage
from footnote.telemetry import fallbacks_total, log


class Fallback:
    """One Generator out of several. It says who writes before the first piece, and never changes the writer after it.

    A generator is passed over when it is away, too slow to begin, limited for longer than anybody waits, left alone
    after failures, has nothing to show but thoughts, or refuses us whatever we ask; never because of what was asked.
    A model that a request names is the first one's: the others have their own.
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        self.generators = tuple(generators)
        first = self.generators[0]
        self.provider, self.address, self.model = first.provider, first.address, first.model

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """Raises what is soonest worth another try, if none can answer."""
        failures: list[FootnoteError] = []
        for generator in self.generators:
            asked = replace(request, model=None) if failures else request
            # What runs in this process has no other models.
            model = asked.model if asked.model and generator.address else generator.model
            named = begun = False
            try:
                async with aclosing(generator.generate(asked)) as events:
                    async for event in events:
                        if not named:
                            named = True
                            yield ModelRef(generator.provider, model)
                        # What was spent on thoughts alone is to be paid, and is nothing that was shown.
                        begun = begun or not isinstance(event, Usage | Uncounted)
                        yield event
                return
            except FootnoteError as error:
                if begun or not (error.retryable or isinstance(error, AccountRefused)):
                    raise
                failures.append(error)
                if len(failures) < len(self.generators):
                    name = f"{generator.provider}/{generator.model}"
                    fallbacks_total.labels(name, error.code).inc()
                    log.warning("the next generator is asked", failed=name, error=str(error)[:300])
        raise min(failures, key=lambda error: (not error.retryable, error.retry_after or 0.0))

    async def close(self) -> None:
        for generator in self.generators:
            await generator.close()
