"""One request to an operation: its parameters, query and body, read the way Docker reads them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

import msgspec

from lading.engine import moments
from lading.engine.model import decode
from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from lading.api.versions import Version
    from lading.engine.engine import Engine

T = TypeVar("T")
D = TypeVar("D")

BODY_LIMIT = 16 * 1024 * 1024
"""Bytes that a JSON body may have; archives are streamed and have no limit."""

_FALSE = frozenset({"", "0", "no", "false", "none"})


class Call:
    """A request on its way to the handler of its operation."""

    __slots__ = ("_query", "_query_string", "engine", "name", "request", "version")

    def __init__(
        self, engine: Engine, request: BaseRequest, version: Version, name: str, query: str
    ) -> None:
        self.engine = engine
        self.request = request
        self.version = version
        self.name = name
        """The `{id}` or `{name}` of the path, percent-decoded; empty where the path has none."""
        self._query_string = query
        self._query: dict[str, list[str]] | None = None

    def values(self, key: str) -> list[str]:
        """Return all values of a query parameter, in order."""
        if self._query is None:
            self._query = {}
            for name, value in parse_qsl(self._query_string, keep_blank_values=True):
                self._query.setdefault(name, []).append(value)
        return self._query.get(key, [])

    def text(self, key: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        values = self.values(key)
        return values[0] if values else default

    def flag(self, key: str, default: bool = False) -> bool:
        """Read a boolean as Docker does: 0, no, false, none and nothing are false."""
        values = self.values(key)
        return values[0].strip().lower() not in _FALSE if values else default

    def integer(self, key: str) -> int | None:
        """Read a whole number, None when the parameter is absent or empty.

        Raises InvalidParameter when it is not a number.
        """
        value = self.text(key)
        if not value:
            return None
        try:
            return int(value)
        except ValueError:
            raise InvalidParameter(
                f'invalid value for query parameter "{key}": {value!r} is not a whole number'
            ) from None

    def moment(self, key: str) -> int | None:
        """Read a timestamp of seconds with a fraction as nanoseconds since the epoch.

        Absent, empty and (as in Docker) zero are None. A date in RFC 3339 and a duration counted
        back from now (`10m`) are understood too. Raises InvalidParameter for anything else.
        """
        value = self.text(key)
        if value in ("", "0"):
            return None
        return moments.parse(key, value, time.time_ns())

    def filters(self) -> dict[str, list[str]]:
        """Read the `filters` parameter in either of its forms.

        `{"label": ["a", "b"]}` and, from older clients, `{"label": {"a": true, "b": true}}`.
        Raises InvalidParameter when it is not JSON of that shape.
        """
        raw = self.text("filters")
        if not raw:
            return {}
        try:
            parsed = msgspec.json.decode(raw, type=dict[str, list[str] | dict[str, bool] | None])
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise InvalidParameter(
                f"invalid filter: {raw!r} is not a JSON object of lists of strings"
            ) from None
        return {name: list(terms or ()) for name, terms in parsed.items()}

    def check_json(self) -> None:
        """Refuse a body that does not say that it is JSON (InvalidParameter)."""
        headers = self.request.headers
        content_type = headers.get("Content-Type", "")
        if not content_type and not self.request.body_exists:
            return
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise InvalidParameter(
                f"unsupported Content-Type header ({content_type}): must be 'application/json'"
            )

    async def json(self, shape: type[T]) -> T:
        """Read the body as `shape`; fields that it does not know are ignored.

        Raises InvalidParameter for another content type, an empty body, bytes that are not JSON
        and a value of the wrong type, which is named.
        """
        self.check_json()
        body = await self.request.read()
        if not body:
            raise InvalidParameter("invalid JSON: got EOF while reading request body")
        return decode(body, shape)

    async def json_or(self, shape: type[T], default: D) -> T | D:
        """Read the body as `json` does, or return `default` when there is none."""
        if not self.request.body_exists:
            return default
        body = await self.request.read()
        if not body:
            return default
        self.check_json()
        return decode(body, shape)
