"""Terms of the `filters` parameter, in what all kinds of objects share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lading.engine import moments
from lading.errors import InvalidParameter

Filters = Mapping[str, Sequence[str]]
"""Filter terms of a request: name → values."""

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def check(filters: Filters, allowed: Iterable[str]) -> None:
    """Raise InvalidParameter, in Docker's words, for a term that this list does not have."""
    for name in filters:
        if name not in allowed:
            raise InvalidParameter(f"invalid filter '{name}'")


def flag(filters: Filters, name: str, default: bool | None = None) -> bool | None:
    """Read a term that is true or false; raises InvalidParameter for anything else, or for both."""
    values = set(filters.get(name, ()))
    if not values:
        return default
    if values <= _TRUE:
        return True
    if values <= _FALSE:
        return False
    raise InvalidParameter(f"invalid filter '{name}=[{' '.join(sorted(values))}]'")


def has_labels(filters: Filters, labels: Mapping[str, str] | None) -> bool:
    """Tell whether labels pass `label` (all of them) and `label!` (none); `key` or `key=value`."""
    own = labels or {}
    return all(_has(own, term) for term in filters.get("label", ())) and not any(
        _has(own, term) for term in filters.get("label!", ())
    )


def until(filters: Filters, now_nano: int) -> int | None:
    """Read the term `until` as nanoseconds since the epoch, None when it is not there.

    Raises InvalidParameter if there are several, or for what is neither moment nor duration.
    """
    limits = moments_of(filters, now_nano)
    if len(limits) > 1:
        raise InvalidParameter("more than one until filter specified")
    return limits[0] if limits else None


def moments_of(filters: Filters, now_nano: int) -> list[int]:
    """Read all terms `until` as nanoseconds since the epoch.

    Raises InvalidParameter for what is neither moment nor duration.
    """
    return [moments.parse("until", value, now_nano) for value in filters.get("until", ())]


def _has(labels: Mapping[str, str], term: str) -> bool:
    key, equals, value = term.partition("=")
    return key in labels and (not equals or labels[key] == value)
