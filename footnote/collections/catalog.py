"""Which collections and embedding models there are, without counting what is in them."""

from collections.abc import Sequence

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.tenant_scope import scoped
from footnote.models import Collection


def _visible(session: AsyncSession) -> Select[Collection]:
    return scoped(session, Collection).where(Collection.deleted_at.is_(None))


async def newest(session: AsyncSession, limit: int) -> Sequence[Collection]:
    return (await session.scalars(_visible(session).order_by(Collection.id.desc()).limit(limit))).all()


async def embedding_models(session: AsyncSession) -> dict[str, str]:
    """The models of all collections, each with its provider."""
    models = _visible(session).with_only_columns(Collection.embedding_model, Collection.embedding_provider).distinct()
    return {model: provider for model, provider in await session.execute(models) if model and provider}
