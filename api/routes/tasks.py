"""Background tasks: looked up by the id that began them."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from api.deps import Plain, Reader, RuntimeDep
from api.schemas.tasks import TaskOut
from footnote.jobs import tasks
from footnote.models import BackgroundTask

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
TaskId = Annotated[Plain, Path(max_length=64)]


@router.get("/{task_id}", operation_id="tasks_get")
async def get(task_id: TaskId, rt: RuntimeDep, caller: Reader) -> TaskOut:
    """Where a background task stands; `DELETE /v1/collections/{collection_id}` begins one."""
    async with rt.transaction() as session:
        return TaskOut.of(await tasks.get(session, task_id))


def accepted(task: BackgroundTask) -> JSONResponse:
    """The answer to a request that began the task, or asks again before it is completed."""
    return JSONResponse(TaskOut.of(task).model_dump(mode="json"), 202, {"Location": f"/v1/tasks/{task.id}"})
