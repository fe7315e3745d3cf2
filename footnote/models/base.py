"""The base class of the tables, and columns that many have."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import DateTime, ForeignKey, MetaData, String, Text, TextClause, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        str: Text,
    }


def id_() -> Mapped[str]:
    return mapped_column(String(40), primary_key=True)


def ref(table: str, *, key: bool = False) -> Mapped[str]:
    return mapped_column(String(40), ForeignKey(f"{table}.id", ondelete="CASCADE"), primary_key=key)


def newest_first(name: str) -> TextClause:
    """The last column of an index for lists of a tenant's rows.

    Lists ask for this very order (`database.paging`), which no other index has: with the order of a primary key,
    Postgres might read it and pass over the newer rows of all other tenants.
    """
    return text(f"{name} DESC NULLS LAST")


def now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())
