"""Models: all collections, each collection, the models that write and those that embed."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import Path
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Reader, RuntimeDep
from api.openai import PREFIX, ids
from api.openai.routing import new_router
from api.openai.schemas.common import seconds
from api.openai.schemas.models import ModelOut, ModelsOut
from api.schemas.fields import Plain
from footnote import collections
from footnote.collections import catalog
from footnote.errors import NotFound
from footnote.models import Collection
from footnote.providers.fallback import models_of
from footnote.runtime import Runtime

router = new_router()

ALL = "footnote"  # the model that answers from all collections
CREATED = 1_767_225_600  # 2026-01-01: of models that are configured, not made
MOST_COLLECTIONS = 1000  # that are listed, the newest; all others can be asked as well


@router.get("/models")
async def list_models(rt: RuntimeDep, caller: Reader) -> ModelsOut:
    """List the names that can be used as a model: `footnote`, one for each collection, and the configured models."""
    async with rt.transaction() as session:
        found = await catalog.newest(session, MOST_COLLECTIONS)
        others = [ModelOut(id=each, created=CREATED) for each in await catalog.embedding_models(session)]
    known = {each.id: each for each in (*_configured(rt), *map(_of_collection, found), *others)}
    return ModelsOut(data=[*known.values()])


@router.get("/models/{model:path}")
async def get_model(model: Annotated[Plain, Path(max_length=256)], rt: RuntimeDep, caller: Reader) -> ModelOut:
    """Get one model."""
    if known := next((each for each in _configured(rt) if each.id == model), None):
        return known
    async with rt.transaction() as session:
        if name := collection_of(model):
            return _of_collection(await _found(session, name, model))
        if model in await catalog.embedding_models(session):
            return ModelOut(id=model, created=CREATED)
    raise unknown(model)


def collection_of(model: str) -> str | None:
    """The id of the one collection that `footnote:vs_X` answers from. Raises NotFound for anything else after `:`."""
    kind, colon, store = model.partition(":")
    if kind != ALL or not colon:
        return None
    if not store.startswith(ids.VECTOR_STORE):
        raise unknown(model)
    return ids.COLLECTION + store.removeprefix(ids.VECTOR_STORE)


def writers(rt: Runtime) -> Sequence[str]:
    """The models that can be named to write an answer."""
    return models_of(rt.generator)


def unknown(model: str) -> NotFound:
    return NotFound("model_not_found", f"The model '{model}' does not exist: GET {PREFIX}/models lists those that do.")


async def _found(session: AsyncSession, collection: str, model: str) -> Collection:
    """Raises NotFound about the model."""
    try:
        return await collections.find(session, collection)
    except NotFound as error:
        raise unknown(model) from error


def _configured(rt: Runtime) -> Iterator[ModelOut]:
    for name in dict.fromkeys((ALL, *writers(rt), rt.embedder.model)):
        yield ModelOut(id=name, created=CREATED)


def _of_collection(found: Collection) -> ModelOut:
    return ModelOut(id=f"{ALL}:{ids.vector_store_id(found.id)}", created=seconds(found.created_at))
