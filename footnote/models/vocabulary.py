"""The words of the documents of a collection, by which misspelt words of questions are found."""

from sqlalchemy import ARRAY, BigInteger, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base


class VocabularyWord(Base):
    """A word in lower case; it is there as long as a chunk of the collection holds its lexeme, and may be there twice.

    All keys are hashes of tenant, collection and a text (`posting_key`): of its lexeme, as in `posting`, and of its
    halves (`footnote.text.words.halves`). `key` is that of language and word.
    """

    __tablename__ = "vocabulary"
    __table_args__ = (
        Index("ix_vocabulary_lexeme_key", "lexeme_key"),
        Index("ix_vocabulary_head_key", "head_key"),
        Index("ix_vocabulary_tail_key", "tail_key"),
    )

    key: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(40))
    lexeme_key: Mapped[int] = mapped_column(BigInteger)
    head_key: Mapped[int] = mapped_column(BigInteger)
    tail_key: Mapped[int] = mapped_column(BigInteger)
    word: Mapped[str]


class VocabularyRemoval(Base):
    """Lexemes of chunks that a transaction removed, until it ends: its words that are nowhere else are removed then."""

    __tablename__ = "vocabulary_removal"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(40))
    lexeme_keys: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
