"""A summary of the work: unfinished, waiting and failed jobs with their causes."""

from fastapi import APIRouter

from api.deps import Reader, RuntimeDep
from api.schemas.summary import SummaryOut
from footnote import model_swap
from footnote.jobs import summary, workers

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.get("/summary")
async def get_summary(rt: RuntimeDep, caller: Reader) -> SummaryOut:
    """Count the documents by status, and the jobs by step, by reason of waiting and by reason of failure.

    It takes the same time for any number of documents: up to 1,000 jobs of a state are counted, and up to 500 failed
    ones. `capped` says whether there may be more.
    """
    async with rt.transaction() as session:
        found, swaps = await summary.of_tenant(session), await model_swap.running(session)
    return SummaryOut.of(found, swaps, await workers.alive(rt.shared))
