"""Reads metrics as Prometheus does."""

import urllib.request
from contextlib import suppress

from prometheus_client.parser import text_string_to_metric_families

from footnote.operations import gauges
from footnote.runtime import Runtime
from footnote.telemetry.exposition import exposition

Series = dict[str, float]


def series(text: str) -> Series:
    """The values by name and labels, in their order: `name{a="b",c="d"}`."""
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def of_this_process() -> Series:
    return series(exposition())


async def of_the_installation(rt: Runtime) -> Series:
    """What the dispatcher exports of Postgres and Redis, and what this process counted."""
    return series(exposition(await gauges.read(rt)))


def at(port: int) -> Series:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return series(answer.read().decode())


def listens(port: int) -> bool:
    with suppress(OSError):
        return bool(at(port))
    return False


def moved(before: Series, after: Series) -> Series:
    """What became more."""
    return {name: value - before.get(name, 0.0) for name, value in after.items() if value > before.get(name, 0.0)}
