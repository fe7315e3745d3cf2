"""Background tasks."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas.common import Out
from api.schemas.jobs import ProgressOut
from footnote.jobs.tasks import UNITS, Kind
from footnote.models import BackgroundTask

TaskStatus = Literal["queued", "running", "waiting", "completed"]


class TaskOut(Out):
    """Work on a collection, file, tenant or many documents. It resumes if the process that does it is killed."""

    id: str
    kind: Kind
    subject_id: Annotated[
        str,
        Field(
            description="The collection, file, batch of files or tenant; of chosen documents, the task itself; "
            "of `model.swap`, the swap."
        ),
    ]
    status: TaskStatus
    progress: ProgressOut
    waiting_for: Annotated[str | None, Field(description="Why it is interrupted, until it resumes.")]
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, task: BackgroundTask) -> "TaskOut":
        total = max(task.progress_done, task.progress_total)  # uploads that were under way when it began
        return cls(
            id=task.id,
            kind=task.kind,
            subject_id=task.subject_id,
            status=task.state,
            progress=ProgressOut(done=task.progress_done, total=total, unit=UNITS.get(task.kind, "documents")),
            waiting_for=task.waiting_for,
            created_at=task.created_at,
            finished_at=task.finished_at,
        )
