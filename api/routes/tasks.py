"""Background tasks: their state."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from api.deps import Reader, RuntimeDep
from api.schemas.fields import Plain
from api.schemas.tasks import TaskOut
from footnote.jobs import tasks
from footnote.models import BackgroundTask

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
TaskId = Annotated[Plain, Path(max_length=64, description="Id of the task.")]


@router.get("/{task_id}")
async def get_task(task_id: TaskId, rt: RuntimeDep, caller: Reader) -> TaskOut:
    """Get the state of a background task. `DELETE /v1/collections/{collection_id}` starts one."""
    async with rt.transaction() as session:
        return TaskOut.of(await tasks.get(session, task_id))


def accepted(task: BackgroundTask) -> JSONResponse:
    """The answer to a request that started the task, or that is repeated before it is completed."""
    return JSONResponse(TaskOut.of(task).model_dump(mode="json"), 202, {"Location": f"/v1/tasks/{task.id}"})
