"""Statistics of large collections for the keyword leg, which would else count them for each question."""

from datetime import datetime

from sqlalchemy import REAL, BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, now, ref


class Corpus(Base):
    """A collection's size when it was last counted. Small ones are counted for each question."""

    __tablename__ = "corpus"

    collection_id: Mapped[str] = ref("collection", key=True)
    tenant_id: Mapped[str] = ref("tenant")
    chunks: Mapped[int] = mapped_column(BigInteger)
    words: Mapped[float]  # in a chunk, on average
    counted_at: Mapped[datetime] = now()


class FrequentLexeme(Base):
    """The share of a collection's chunks that hold a lexeme, for those in more than one of a thousand."""

    __tablename__ = "frequent_lexeme"

    collection_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("corpus.collection_id", ondelete="CASCADE"), primary_key=True
    )
    lexeme: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    share: Mapped[float] = mapped_column(REAL)
