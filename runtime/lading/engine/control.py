"""What is done to running containers: signals, stop, pause, and a new size of the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals
from collections.abc import Awaitable
from dataclasses import dataclass

from lading.engine.announce import announce
from lading.engine.events import EventBus
from lading.engine.health import HealthChecks
from lading.engine.lifecycle import Lifecycle
from lading.engine.model import Status
from lading.engine.registry import Entry, not_running
from lading.engine.store import ContainerStore
from lading.engine.waits import Condition
from lading.errors import Conflict, LadingError, NotModified
from lading.kernel.signals import parse_signal
from lading.shim.client import ShimError

KILL_PATIENCE = 10.0
"""Seconds that a container may take to end after SIGKILL before that counts as a failure."""


@dataclass(slots=True)
class Control:
    """Stops, signals and freezes containers."""

    lifecycle: Lifecycle
    health: HealthChecks
    events: EventBus
    store: ContainerStore
    default_grace: int

    async def kill(self, entry: Entry, ref: str, signal: str) -> None:
        """Send a signal, SIGKILL unless told otherwise, after which the end is waited for.

        Raises InvalidParameter and Conflict, with `cannot kill container: x: ` before the reason.
        """
        try:
            number = parse_signal(signal) if signal else int(signals.SIGKILL)
            if number == signals.SIGKILL:
                await self.destroy(entry)
            else:
                await self.signal(entry, number)
        except LadingError as error:
            raise type(error)(f"cannot kill container: {ref}: {error}") from error

    async def signal(self, entry: Entry, number: int) -> None:
        """Send a signal to a container's first process.

        One that is meant to end it keeps the restart policy from starting it again, and thaws it
        if it is paused. Raises Conflict if it does not run.
        """
        async with entry.lock:
            if not entry.state.running:
                raise not_running(entry)
            paused = entry.state.paused
            ends = self._ends(entry, number)
            if ends:
                self._forbid_restart(entry)
            if entry.state.restarting:
                return
            shim = entry.running_shim()
            try:
                await shim.signal(number)
            except Conflict:
                # It has ended, and the news of it is on the way.
                raise not_running(entry) from None
            announce(self.events, entry.record, "kill", signal=str(number))
            if paused and ends:
                await self._thaw(entry)

    def _forbid_restart(self, entry: Entry) -> None:
        """Let the next end be final; one that the daemon's own end brings is nobody's wish."""
        entry.restarts.cancel()
        if not self.lifecycle.stopping:
            entry.record.manually_stopped = True

    def _ends(self, entry: Entry, number: int) -> bool:
        """Tell whether a signal is one to stop the container, as Docker judges it."""
        own = entry.record.config.stop_signal
        return number == signals.SIGKILL or not own or number == parse_signal(own)

    async def destroy(self, entry: Entry) -> None:
        """Send SIGKILL and wait for the end; a wait for a restart ends at once."""
        if self.lifecycle.cancel_restart(entry):
            return
        ended = _ended(entry)
        await self.signal(entry, signals.SIGKILL)
        try:
            await asyncio.wait_for(ended, KILL_PATIENCE)
        except TimeoutError:
            raise LadingError(
                f"tried to kill container {entry.id}, but did not receive an exit event"
            ) from None

    async def stop(self, entry: Entry, seconds: int | None, signal: str) -> None:
        """Stop a container: its stop signal, and SIGKILL when it has not ended after `seconds`.

        A negative number waits for ever; None is the container's own, or the daemon's, grace.
        Raises NotModified if it does not run.
        """
        if not entry.state.running:
            raise NotModified("container is already stopped")
        number = parse_signal(signal or entry.record.config.stop_signal or "SIGTERM")
        if seconds is None:
            seconds = self.grace(entry)
        if not self.lifecycle.cancel_restart(entry):
            await self._end(entry, number, seconds)
        announce(self.events, entry.record, "stop")

    def grace(self, entry: Entry) -> int:
        """Give the seconds between a container's stop signal and SIGKILL; -1 for no end."""
        own = entry.record.config.stop_timeout
        return self.default_grace if own is None else own

    async def _end(self, entry: Entry, number: int, seconds: int) -> None:
        ended = _ended(entry)
        self._forbid_restart(entry)
        with contextlib.suppress(Conflict):
            await self.signal(entry, number)
        if entry.state.paused:
            async with entry.lock:
                await self._thaw(entry)
        try:
            await asyncio.wait_for(asyncio.shield(ended), None if seconds < 0 else seconds)
        except TimeoutError:
            with contextlib.suppress(Conflict):
                await self.destroy(entry)

    async def restart(self, entry: Entry, seconds: int | None, signal: str) -> None:
        """Stop a container if it runs, and start it; `--rm` does not remove it in between."""
        if entry.state.running:
            entry.restarted_by_hand = True
            try:
                with contextlib.suppress(NotModified):
                    await self.stop(entry, seconds, signal)
                async with entry.lock:
                    # Whoever has the lock now knows that nothing of the old life is left.
                    pass
            except BaseException:
                entry.restarted_by_hand = False
                raise
        await self.lifecycle.start(entry)
        announce(self.events, entry.record, "restart")

    async def pause(self, entry: Entry) -> None:
        """Freeze all processes; raises Conflict for a state that does not allow it."""
        async with entry.lock:
            state = entry.state
            if not state.running:
                raise not_running(entry)
            if state.paused:
                raise Conflict(f"Container {entry.id} is already paused")
            if state.restarting:
                raise Conflict(
                    f"Container {entry.id} is restarting, wait until the container is running"
                )
            await entry.running_shim().pause()
            state.status = Status.PAUSED
            self.health.end(entry)
            self.store.note(entry.record)
            announce(self.events, entry.record, "pause")

    async def unpause(self, entry: Entry) -> None:
        """Let a frozen container go on; raises LadingError if it is not paused."""
        async with entry.lock:
            if not entry.state.paused:
                raise LadingError(f"Container {entry.id} is not paused")
            await self._thaw(entry)

    async def _thaw(self, entry: Entry) -> None:
        """Thaw a container whose lock is held."""
        if entry.shim is None or not entry.state.paused:
            return
        with contextlib.suppress(ShimError):
            await entry.shim.resume()
        entry.state.status = Status.RUNNING
        self.health.begin(entry, afresh=False)
        self.store.note(entry.record)
        announce(self.events, entry.record, "unpause")

    async def resize(self, entry: Entry, height: int, width: int) -> None:
        """Set the size of a container's terminal, if it has one; raises Conflict if it is down."""
        shim = entry.running_shim()
        if entry.record.config.tty:
            await shim.resize(height, width)


def _ended(entry: Entry) -> Awaitable[object]:
    return entry.waits.add(Condition.NEXT_EXIT, entry.state)
