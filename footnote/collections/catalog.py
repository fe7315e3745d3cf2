"""Which collections and embedding models there are, without counting what is in them."""

from collections.abc import Sequence

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.tenant_scope import scoped
from footnote.models import Collection


def visible(session: AsyncSession) -> Select[Collection]:
    """Those that are not being deleted."""
    return scoped(session, Collection).where(Collection.deleted_at.is_(None))


async def newest(session: AsyncSession, limit: int) -> Sequence[Collection]:
    return (await session.scalars(visible(session).order_by(Collection.id.desc()).limit(limit))).all()


async def embedding_models(session: AsyncSession) -> dict[str, str]:
    """The models of all collections, each with its provider."""
    models = visible(session).with_only_columns(Collection.embedding_model, Collection.embedding_provider).distinct()
    return {model: provider for model, provider in await session.execute(models) if model and provider}
