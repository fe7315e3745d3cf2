"""What callers note down about documents and collections: JSON objects, changed by merge patches. Pure."""

import json
from decimal import Decimal
from typing import Any

from footnote.errors import TooLarge

MOST_BYTES = 64 * 1024  # as JSON, however it came together


def merge(target: Any, patch: Any) -> Any:
    """MergePatch of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def checked(value: dict[str, Any]) -> dict[str, Any]:
    """Raises TooLarge."""
    if _bytes(value) > MOST_BYTES or _bytes(_without_exponents(value)) > MOST_BYTES:
        raise TooLarge("too_large", f"The metadata would be over the limit of {MOST_BYTES} bytes.")
    return value


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _without_exponents(value: Any) -> Any:
    """`value` as long as Postgres writes it, which spells `1e308` out."""
    match value:
        case float() if "e" in repr(value):
            return f"{Decimal(repr(value)):f}"
        case list():
            return [_without_exponents(each) for each in value]
        case dict():
            return {name: _without_exponents(each) for name, each in value.items()}
    return value


def replaced(before: dict[str, Any], given: dict[str, Any], shown: type | tuple[type, ...]) -> dict[str, Any]:
    """`given` in place of the values of the types that were `shown`; the others stay. Raises TooLarge."""
    return checked({name: value for name, value in before.items() if not isinstance(value, shown)} | given)


def patched(before: dict[str, Any], patch: dict[str, Any] | None) -> dict[str, Any]:
    """`before` with the patch merged into it; nothing is left by None. Raises TooLarge."""
    return checked({} if patch is None else merge(before, patch))
