"""Waiting for a container to stop, to exit the next time, or to be removed."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from lading.engine.model import State


class Condition(enum.StrEnum):
    """What a wait waits for."""

    NOT_RUNNING = "not-running"
    NEXT_EXIT = "next-exit"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class WaitResult:
    """How a container ended; `error` says why it could not be started or removed, else empty."""

    status_code: int
    error: str = ""


def condition_of(text: str) -> Condition:
    """Read a wait condition; empty is not-running. Raises InvalidParameter for another word."""
    try:
        return Condition(text or Condition.NOT_RUNNING)
    except ValueError:
        raise InvalidParameter(f'invalid condition: "{text}"') from None


class Waits:
    """Those who wait for one container."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Condition, asyncio.Future[WaitResult]]] = []

    def add(self, condition: Condition, state: State) -> asyncio.Future[WaitResult]:
        """Register a wait; it is over at once if the container is in the wanted state already."""
        future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        if condition is Condition.NOT_RUNNING and not state.running:
            future.set_result(WaitResult(state.exit_code, state.error))
        else:
            self._waiting.append((condition, future))
        return future

    def exited(self, result: WaitResult, *, final: bool) -> None:
        """The container exited; `final` unless its restart policy starts it again."""
        ended = {Condition.NEXT_EXIT, Condition.NOT_RUNNING} if final else {Condition.NEXT_EXIT}
        self._end(ended, result)

    def removed(self, result: WaitResult) -> None:
        """The container is gone: every wait is over."""
        self._end(set(Condition), result)

    def _end(self, conditions: set[Condition], result: WaitResult) -> None:
        staying = []
        for condition, future in self._waiting:
            if condition not in conditions:
                staying.append((condition, future))
            elif not future.done():
                future.set_result(result)
        self._waiting = staying
