"""The summary of a tenant's work."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.schemas.common import Out
from api.schemas.jobs import Step
from api.schemas.model_swaps import ModelSwapOut
from footnote.jobs.summary import Summary
from footnote.jobs.workers import Workers
from footnote.model_swap import SwapDetails


class DocumentCountsOut(Out):
    """Documents by status. `total` and `searchable` are always exact."""

    total: int
    searchable: Annotated[int, Field(description="Documents with a searchable version.")]
    queued: int
    running: int
    waiting: int
    ready: Annotated[int | None, Field(description="Null if `capped`.")] = None
    failed: int
    cancelled: int


class WaitingOut(Out):
    """Jobs that wait for the same thing."""

    step: Step
    waiting_for: str
    code: Annotated[str | None, Field(description="Code of the temporary error that they wait for.")]
    message: str | None
    jobs: int
    until: Annotated[datetime | None, Field(description="When the first of them is tried again.")]


class FailureOut(Out):
    """Documents that failed at the same step for the same reason: `POST /v1/jobs/retry` takes both."""

    step: Step
    code: str
    message: Annotated[str, Field(description="The message of the newest of them.")]
    jobs: int
    last_at: datetime | None


class RateOut(Out):
    """Work of the last minute, per second; of what is being embedded, since that began."""

    documents: float
    passages: float
    seconds_left: Annotated[int | None, Field(description="Time for the rest at that rate. Null if nothing was done.")]


class WorkersOut(Out):
    alive: Annotated[int, Field(description="Workers with a heartbeat in the last 20 seconds.")]
    slots: Annotated[int, Field(description="Steps that they can process at the same time.")]


class SummaryOut(Out):
    documents: DocumentCountsOut
    steps: Annotated[dict[str, int], Field(description="Unfinished jobs by step.")]
    waiting: list[WaitingOut]
    failed: list[FailureOut]
    oldest_wait_seconds: Annotated[float, Field(description="Since when the longest-waiting job has waited.")]
    rate: RateOut
    workers: Annotated[WorkersOut | None, Field(description="Of all tenants. Null while Redis is unavailable.")]
    paused_since: Annotated[datetime | None, Field(description="When the operator paused the workers.")]
    model_swaps: Annotated[list[ModelSwapOut], Field(description="Swaps of embedding models that have not ended.")]
    capped: Annotated[bool, Field(description="Whether there may be more than was counted.")]

    @classmethod
    def of(cls, found: Summary, swaps: Sequence[SwapDetails], workers: Workers | None) -> "SummaryOut":
        values: dict[str, Any] = asdict(found) | {"workers": workers and asdict(workers)}
        return cls.model_validate(values | {"model_swaps": [ModelSwapOut.of(each) for each in swaps]})
