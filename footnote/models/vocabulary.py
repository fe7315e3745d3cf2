"""The words of the documents of a collection, by which misspelt words of questions are found."""

from sqlalchemy import BigInteger, Identity, Index, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base


class VocabularyWord(Base):
    """A word in lower case; it is there as long as a chunk of the collection holds its lexeme, and may be there twice.

    All keys are hashes of tenant, collection and a text (`posting_key`): of the word, of its lexeme, as in `posting`,
    and of its `spellings`: itself, and itself without one of its letters.
    """

    __tablename__ = "vocabulary"
    __table_args__ = (
        Index("ix_vocabulary_key", "key"),
        Index("ix_vocabulary_lexeme_key", "lexeme_key"),
        Index("ix_vocabulary_spellings", "spellings", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    )

    tenant_id: Mapped[str] = mapped_column(String(40))
    key: Mapped[int] = mapped_column(BigInteger)
    lexeme_key: Mapped[int] = mapped_column(BigInteger)
    word: Mapped[str]
    spellings: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
