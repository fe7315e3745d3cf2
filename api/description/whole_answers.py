"""Examples of complete answers, which are not composed of the examples of their fields."""

from typing import Any

from footnote import __version__

ANSWERS: dict[str, Any] = {
    "delete_tenant": {
        "id": "tsk_01m8mx3e5g7j9m1p3r5t7v9x1z",
        "kind": "tenant.delete",
        "subject_id": "ten_01m8mwp1b3d5f7h9k1m3p5r7t9",
        "status": "queued",
        "progress": {"done": 0, "total": 12, "unit": "documents"},
        "waiting_for": None,
        "created_at": "2026-03-02T09:30:00Z",
        "finished_at": None,
    },
    "check_liveness": {"status": "ok", "version": __version__},
    "check_readiness": {
        "status": "ready",
        "version": __version__,
        "checks": {"postgres": "ok", "redis": "ok", "store": "ok"},
        "providers": {"openai": "ok"},
        "paused_since": None,
        "embedder": "local/all-MiniLM-L6-v2",
        "generator": "openai/gpt-4.1-mini",
        "reranker": None,
    },
    "get_summary": {
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
        "model_swaps": [],
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
    },
}
