"""One look at the work: what is unfinished, what waits and why, what failed and why."""

from fastapi import APIRouter

from api.deps import Reader, RuntimeDep
from api.schemas.summary import SummaryOut
from footnote import model_swap
from footnote.jobs import summary, workers

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.get("/summary")
async def get_summary(rt: RuntimeDep, caller: Reader) -> SummaryOut:
    """Count the documents by status, and the jobs by step, by what they wait for and by why they failed.

    It takes the same time however many documents there are: jobs of a state are counted up to 1,000, and up to 500 that
    failed. `capped` says whether there may be more.
    """
    async with rt.transaction() as session:
        found, swaps = await summary.of_tenant(session), await model_swap.running(session)
    return SummaryOut.of(found, swaps, await workers.alive(rt.shared))
