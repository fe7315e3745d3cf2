"""What tenants used, by day."""

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, ref


class UsageOfDay(Base):
    """Counts of one kind (document, query, embedding, generation) that a key caused on a day in UTC.

    `calls` are documents or queries, or calls of the provider's model; `estimated_calls` those whose provider did not
    count the tokens. `cost` in US dollars, None where no price is known.
    """

    __tablename__ = "usage"
    __table_args__ = (Index("ix_usage_day", "day"),)

    tenant_id: Mapped[str] = ref("tenant", key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(primary_key=True)  # empty for what no key asked for
    kind: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    estimated_calls: Mapped[int] = mapped_column(BigInteger, server_default="0")
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal | None] = mapped_column(Numeric)  # fractions of a micro-dollar count, too
