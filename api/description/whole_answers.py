"""Examples of answers that are not put together from their fields."""

from typing import Any

SUMMARY: dict[str, Any] = {
    "documents": {
        "total": 1204,
        "searchable": 1188,
        "queued": 12,
        "running": 2,
        "waiting": 1,
        "ready": 1181,
        "failed": 8,
        "cancelled": 0,
    },
    "steps": {"chunk": 12, "embed": 3},
    "waiting": [
        {
            "step": "chunk",
            "waiting_for": "a free worker",
            "code": None,
            "message": None,
            "jobs": 12,
            "until": None,
        },
        {
            "step": "embed",
            "waiting_for": "the provider's rate limit",
            "code": "provider_unavailable",
            "message": "The provider answered 429.",
            "jobs": 1,
            "until": "2026-03-02T09:38:00Z",
        },
    ],
    "failed": [
        {
            "step": "embed",
            "code": "provider_rejected",
            "message": "The provider refused the key.",
            "jobs": 7,
            "last_at": "2026-03-02T09:12:00Z",
        },
    ],
    "oldest_wait_seconds": 240.0,
    "rate": {"documents": 0.08, "passages": 18.0, "seconds_left": 180},
    "workers": {"alive": 1, "slots": 2},
    "paused_since": None,
    "capped": False,
}
