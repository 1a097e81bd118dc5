"""What a registry answers when it does not do as asked, in Docker's words.

Source: OCI distribution-spec 1.1, "Error Codes".
"""

from __future__ import annotations

import msgspec

from lading.errors import Forbidden, LadingError, NotFound, Unauthorized, Unavailable


class _Item(msgspec.Struct):
    code: str = "UNKNOWN"
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Item] = []


class RegistryFailure(LadingError):
    """A registry answered with an error that no other class fits; `http_status` is its status."""

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class NoLogin(LadingError):
    """A registry wants a login, and there is none.

    It is Docker's 500, not 401: upon that `docker pull` would ask for a name and a password.
    """


def describe(status: int, body: bytes) -> str:
    """The registry's own words: `code: message`, or its status where it gave none."""
    try:
        items = msgspec.json.decode(body, type=_Errors).errors
    except msgspec.MsgspecError:
        items = []
    if not items:
        return f"received unexpected HTTP status: {status}"
    first = items[0]
    code = first.code.lower().replace("_", " ")
    return f"{code}: {first.message or code}"


def failure(status: int, body: bytes, doing: str) -> LadingError:
    """The error for an answer of `status` while `doing` (as `Head "https://…"`)."""
    words = f"{doing}: {describe(status, body)}"
    if status == 401:
        return Unauthorized(words)
    if status == 403:
        return Forbidden(words)
    if status == 404:
        return NotFound(words)
    if status == 429:
        return Unavailable(f"toomanyrequests: {words}")
    return RegistryFailure(words, status)


def manifest_unknown(reference: str) -> NotFound:
    """A tag or digest that the registry does not have."""
    return NotFound(f"manifest for {reference} not found: manifest unknown: manifest unknown")


def pull_denied(name: str) -> NotFound:
    """A repository that is not there, or not for this login: registries tell no difference."""
    return NotFound(
        f"pull access denied for {name}, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied"
    )


def first(errors: BaseExceptionGroup[LadingError]) -> LadingError:
    """The failure that ended a group of transfers."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LadingError)
    return error
