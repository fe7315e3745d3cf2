"""Which chunks hold a word, how often, and how long they are: the index of the keyword leg.

Triggers on `chunk` write both tables, in the transaction that writes the chunk: nothing else does.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, PrimaryKeyConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base


class PostingBlock(Base):
    """Up to 256 chunks of a version that one statement wrote.

    The numbers are spread evenly over all integers, so that those below any number are a fair sample of all.
    """

    __tablename__ = "posting_block"
    __table_args__ = (
        # A chunk finds its block: the last one that begins before it.
        Index("ix_posting_block_document_id_version_id_first_position", "document_id", "version_id", "first_position"),
        Index(
            "ix_posting_block_collection_id_number",
            "collection_id",
            "number",
            postgresql_include=["tenant_id", "chunks", "words"],
        ),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version_id: Mapped[str] = mapped_column(String(40))
    tenant_id: Mapped[str] = mapped_column(String(40))
    collection_id: Mapped[str] = mapped_column(String(40))
    document_id: Mapped[str] = mapped_column(String(40))
    first_position: Mapped[int]
    last_position: Mapped[int]
    chunks: Mapped[int]
    words: Mapped[int]  # of all its chunks


class Posting(Base):
    """The chunks of a block that hold a lexeme.

    `key` is a hash of tenant, collection and lexeme. `chunks` has three bytes for each: its position after the first
    of the block, how often it holds the lexeme, and about how long it is: 16 times the binary logarithm of its words.
    """

    __tablename__ = "posting"
    __table_args__ = (PrimaryKeyConstraint("key", "block", postgresql_include=["chunks"]),)

    key: Mapped[int] = mapped_column(BigInteger)
    block: Mapped[int]
    chunks: Mapped[bytes] = mapped_column(LargeBinary)
