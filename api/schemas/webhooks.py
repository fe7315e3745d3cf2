"""Webhook endpoints, their deliveries and attempts."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from api.schemas.common import In, Out
from api.schemas.fields import OLD_STATE, Moment, Plain, optional
from footnote.models import WebhookAttempt, WebhookDelivery
from footnote.webhooks.endpoints import Event

Events = Annotated[list[Event], Field(min_length=1, max_length=20)]
Url = Annotated[Plain, StringConstraints(min_length=1, max_length=2000)]
Description = Annotated[Plain, StringConstraints(max_length=200)]
DeliveryStatus = Literal["pending", "delivered", "failed"]


class EndpointIn(In):
    url: Url
    events: Annotated[Events, Field(description='The events to send. `["*"]` means all, also future kinds.')] = ["*"]
    description: Description | None = None


class EndpointPatch(In):
    url: Url = optional("Waiting deliveries go to the new address, too.")
    events: Events = optional()
    description: Description | None = optional()
    enabled: bool = optional(
        "false: waiting deliveries fail. true: the endpoint starts again without its history of failures."
    )


class EndpointOut(Out):
    id: str
    url: str
    description: str | None
    events: list[str]
    enabled: bool
    disabled_reason: Annotated[
        Literal["requested", "gone", "failing"] | None,
        Field(description="`gone`: the address answered 410. `failing`: no delivery has succeeded for days."),
    ]
    disabled_at: datetime | None
    failing_since: Annotated[datetime | None, Field(description="Time of the first failure since the last success.")]
    previous_secret_until: Annotated[
        datetime | None, Field(description="Until this time the previous secret signs, too.")
    ]
    created_at: datetime
    updated_at: datetime


class EndpointSecretOut(EndpointOut):
    secret: Annotated[str, Field(description="`whsec_...`: signs the deliveries. It is not shown again.")]


class EndpointDeletionOut(Out):
    webhook_endpoint_id: str
    deliveries: Annotated[int, Field(description="Deliveries that were deleted with it, sent or not.")]


class AttemptOut(Out):
    number: int
    started_at: datetime
    latency_ms: int
    response_status: int | None
    error: Annotated[str | None, Field(description="What went wrong if there was no answer.")]
    excerpt: Annotated[str | None, Field(description="The first 1,000 bytes of the answer.")]


class DeliveryOut(Out):
    id: Annotated[str, Field(description="The `webhook-id`. It is the same for all attempts.")]
    endpoint_id: str
    event: str
    status: Annotated[DeliveryStatus, Field(validation_alias="state")]
    state: Annotated[DeliveryStatus, OLD_STATE]
    attempts: int
    next_attempt_at: datetime | None
    response_status: Annotated[int | None, Field(description="Status of the last answer.")]
    error: str | None
    created_at: datetime
    delivered_at: datetime | None


class DeliveryWithAttemptsOut(DeliveryOut):
    """`history` has the attempts, oldest first. An attempt whose sender was killed is counted, but missing there."""

    payload: dict[str, Any]
    history: list[AttemptOut]

    @classmethod
    def of(cls, found: WebhookDelivery, attempts: Sequence[WebhookAttempt]) -> "DeliveryWithAttemptsOut":
        history = [AttemptOut.model_validate(each) for each in attempts]
        return cls(**DeliveryOut.model_validate(found).model_dump(), payload=json.loads(found.payload), history=history)


class RedeliverIn(In):
    since: Moment


class RedeliverOut(Out):
    redelivered: int
