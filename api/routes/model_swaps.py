"""Swaps of the embedding model of a collection."""

from fastapi import APIRouter, Request

from api.deps import Asker, Reader, RuntimeDep, Uploader, Writer, again_while_busy
from api.disconnect import while_connected
from api.routes.collections import NameOrId
from api.schemas.collections import CollectionOut
from api.schemas.model_swaps import (
    CollectionModelOut,
    ModelComparisonIn,
    ModelComparisonOut,
    ModelEstimateOut,
    ModelSwapIn,
    ModelSwapOut,
)
from footnote import collections, model_swap
from footnote.model_swap import comparison

router = APIRouter(prefix="/v1/collections/{collection_id}/model", tags=["collections"])


@router.get("")
async def get_collection_model(collection_id: NameOrId, rt: RuntimeDep, caller: Reader) -> CollectionModelOut:
    """Get the embedding model of a collection, and its swap with its progress, if there is or was one."""
    async with rt.transaction() as session:
        found = await collections.get(session, collection_id)
        swap = await model_swap.get(session, found.collection.id)
    shown = CollectionOut.of(found, rt.embedder).embedding
    return CollectionModelOut(embedding=shown, swap=ModelSwapOut.of(swap) if swap else None)


@router.post("/estimate")
async def estimate_model_swap(
    collection_id: NameOrId, body: ModelSwapIn, request: Request, rt: RuntimeDep, caller: Uploader
) -> ModelEstimateOut:
    """Estimate the cost of a swap to another model. A few dozen texts are embedded for it; nothing is stored."""
    found = model_swap.estimate(rt, collection_id, body.provider, body.model, caller.key_id)
    return ModelEstimateOut.model_validate(await while_connected(request, found))


@router.put("", status_code=202)
async def begin_model_swap(
    collection_id: NameOrId, body: ModelSwapIn, request: Request, rt: RuntimeDep, caller: Uploader
) -> ModelSwapOut:
    """Begin to swap the embedding model. Searches use the present model until you switch.

    In the background all chunks get a vector of the other model. Uploads get both.
    """
    begun = model_swap.begin(rt, collection_id, body.provider, body.model, caller.key_id)
    return ModelSwapOut.of(await while_connected(request, begun))


@router.post("/compare")
async def compare_models(
    collection_id: NameOrId, body: ModelComparisonIn, request: Request, rt: RuntimeDep, caller: Asker
) -> ModelComparisonOut:
    """Ask both models the same questions, and compare what they find. Possible once the swap is `ready`."""
    given = [each.judged() for each in body.questions]
    compared = comparison.compare(rt, collection_id, given, caller.key_id)
    return ModelComparisonOut.model_validate(await while_connected(request, compared))


@router.post("/switch")
@again_while_busy
async def switch_model(collection_id: NameOrId, rt: RuntimeDep, caller: Writer) -> ModelSwapOut:
    """Use the other model for searches, from now on. Possible once the swap is `ready`."""
    return ModelSwapOut.of(await model_swap.switch(rt, collection_id))


@router.post("/rollback")
@again_while_busy
async def roll_back_model(collection_id: NameOrId, rt: RuntimeDep, caller: Writer) -> ModelSwapOut:
    """Use the former model for searches again, from now on. Possible while the swap is `switched`."""
    return ModelSwapOut.of(await model_swap.roll_back(rt, collection_id))


@router.delete("", status_code=202)
@again_while_busy
async def drop_model(collection_id: NameOrId, rt: RuntimeDep, caller: Writer) -> ModelSwapOut:
    """Delete the vectors of the unused model, in the background. This ends the swap.

    Before the switch it cancels the swap. After the switch you can no longer roll back.
    """
    return ModelSwapOut.of(await model_swap.drop(rt, collection_id))
