"""Columns of rows that workers claim, one at a time; `database.leases` moves them."""

from datetime import datetime

from sqlalchemy import BigInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import id_


class Leased:
    """`state` is queued, running or waiting (for `waiting_for`, until `next_attempt_at`), or a word for its end.

    Only the holder of the newest `token` may write, while the state is running; after `lease_until` it counts as dead.
    """

    id: Mapped[str] = id_()
    state: Mapped[str] = mapped_column(server_default="queued")
    token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    attempts: Mapped[int] = mapped_column(server_default="0")  # since the last progress; claims given back do not count
    retries: Mapped[int] = mapped_column(server_default="0")  # temporary errors since the last progress
    holder: Mapped[str | None]  # the message that the last claim answered
    lease_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    waiting_for: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class Dispatched(Leased):
    """Leased to a worker that answers a message of the broker. The row is the outbox: a message carries only its id."""

    dispatched_at: Mapped[datetime | None]
