"""From a request's method and path to the operation and its parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.api.operations import Operation


class Match(NamedTuple):
    """The operation that a path names, and the `{id}` in it (empty where the path has none)."""

    operation: Operation
    name: str


class Router:
    """Finds operations; a name in a path may have slashes, as image names do."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._plain: dict[tuple[str, str], Operation] = {}
        self._named: dict[tuple[str, str], list[tuple[re.Pattern[str], Operation]]] = {}
        for operation in operations:
            head, placeholder, tail = operation.path.partition("{id}")
            if not placeholder:
                self._plain[operation.method, operation.path] = operation
                continue
            pattern = re.compile(re.escape(head) + "(.+)" + re.escape(tail))
            key = (operation.method, head.split("/")[1])
            self._named.setdefault(key, []).append((pattern, operation))
        for candidates in self._named.values():
            # The most specific first: `/containers/{id}/attach/ws` before `/containers/{id}`.
            candidates.sort(key=lambda candidate: -len(candidate[1].path))

    def find(self, method: str, path: str) -> Match | None:
        """Return what `path` (without version prefix, percent-decoded) names, or None."""
        operation = self._plain.get((method, path))
        if operation is not None:
            return Match(operation, "")
        group = path.split("/", 2)[1] if path.startswith("/") else ""
        for pattern, candidate in self._named.get((method, group), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return Match(candidate, found[1])
        return None
