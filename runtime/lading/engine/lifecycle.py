"""A container's running life: brought up, watched, ended, and brought up again by its policy."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.engine import times
from lading.engine.announce import announce
from lading.engine.failures import OTHER, CannotStart, creating
from lading.engine.model import NEVER, Container, Status
from lading.engine.registry import Entry
from lading.engine.waits import WaitResult
from lading.errors import Conflict, LadingError, NotModified, Unavailable
from lading.kernel.errors import KernelError
from lading.shim.client import Shim, ShimError, ShimLost, abandon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lading.engine.background import Background
    from lading.engine.bundles import Bundles
    from lading.engine.events import EventBus
    from lading.engine.health import HealthChecks
    from lading.engine.mounting import Mounting
    from lading.engine.networking import Networking
    from lading.engine.store import ContainerStore
    from lading.shim.client import Spawner
    from lading.shim.protocol import ExitStatus

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Lifecycle:
    """Starts containers and handles their end; `auto_remove` is called for `--rm` ones."""

    store: ContainerStore
    events: EventBus
    bundles: Bundles
    mounting: Mounting
    networking: Networking
    health: HealthChecks
    background: Background
    auto_remove: Callable[[Entry], Awaitable[None]]
    spawner: Spawner | None = None
    """There once the engine has started."""
    stopping: bool = False
    """The daemon is going down: nothing is restarted."""

    async def start(self, entry: Entry) -> None:
        """Start a container because somebody asked for it.

        Raises NotModified if it runs, Conflict if its state is in the way, and what the start
        itself fails with.
        """
        async with entry.lock:
            _check_startable(entry)
            entry.restarts.reset(entry.record.host_config.restart_policy)
            entry.record.manually_stopped = False
            entry.restarted_by_hand = False
            await self._start(entry)

    async def _start(self, entry: Entry) -> None:
        """Start a container whose lock is held."""
        state = entry.state
        state.error, state.exit_code, state.oom_killed = "", 0, False
        try:
            shim = await self._bring_up(entry)
        except (LadingError, KernelError, OSError) as error:
            raise await self._note_failure(entry, error) from error
        state.status, state.pid = Status.RUNNING, shim.pid
        state.started_at = times.now()
        entry.record.has_been_started = True
        self.watch(entry, shim)
        self.store.note(entry.record)
        self.networking.tell_connected(entry.record)
        announce(self.events, entry.record, "start")

    async def _bring_up(self, entry: Entry) -> Shim:
        """Make the bundle, the shim and the network, and let the process run; or leave nothing."""
        record = entry.record
        if self.spawner is None or self.stopping:
            raise Unavailable("containers cannot be started: the daemon is starting or stopping")
        self.networking.prepare(record)
        try:
            request = self.bundles.make(record)
            with creating():
                shim = await self.spawner.spawn(request)
            try:
                await self._connect(record, shim)
                with creating():
                    await _hand_over_clients(entry, shim)
                    await shim.start()
            except BaseException:
                with contextlib.suppress(ShimError):
                    await shim.quit()
                raise
        except BaseException:
            self.networking.disconnect(record)
            self.mounting.release(record)
            self.bundles.remove(record)
            raise
        return shim

    async def _connect(self, record: Container, shim: Shim) -> None:
        """Connect the networks while the shim sets the container up.

        If that failed the namespace is gone, and why it failed says more than that.
        """
        try:
            self.networking.connect(record, shim.pid)
        except LadingError:
            with creating():
                await shim.ready()
            raise

    async def _note_failure(self, entry: Entry, error: Exception) -> LadingError:
        """Record why a container did not start, and give the error for the client."""
        known = error if isinstance(error, LadingError) else LadingError(str(error))
        state = entry.state
        state.exit_code = known.exit_code if isinstance(known, CannotStart) else OTHER
        state.error = known.message
        _close_clients(entry)
        if state.status is not Status.CREATED:
            state.status = Status.EXITED
        self.store.note(entry.record)
        entry.waits.exited(WaitResult(state.exit_code, state.error), final=True)
        if entry.record.host_config.auto_remove:
            await self.auto_remove(entry)
        return known

    def watch(self, entry: Entry, shim: Shim) -> None:
        """Take a running container's shim: wait for its end, and check its health meanwhile."""
        entry.shim = shim
        shim.on_oom = functools.partial(self._note_oom, entry)
        self.background.start(self._watch(entry, shim))
        self.health.begin(entry)

    def _note_oom(self, entry: Entry) -> None:
        """The kernel killed a process of a container, which may go on, for lack of memory."""
        entry.state.oom_killed = True
        announce(self.events, entry.record, "oom")

    async def _watch(self, entry: Entry, shim: Shim) -> None:
        try:
            status = await shim.wait()
        except ShimLost:
            _log.warning("the shim of container %s is gone", entry.id)
            status = await abandon(shim.bundle)
        async with entry.lock:
            await self.ended(entry, status)

    async def ended(self, entry: Entry, status: ExitStatus) -> None:
        """Take note of a container's end, with its lock held, and restart or remove it."""
        record, state, shim = entry.record, entry.state, entry.shim
        entry.shim = None
        self.health.end(entry)
        ran_for = _seconds_between(state.started_at, status.finished_at)
        if status.oom_killed and not state.oom_killed:
            self._note_oom(entry)
        state.exit_code, state.pid = status.exit_code, 0
        state.error = status.error
        state.finished_at = status.finished_at or times.now()
        delay = entry.restarts.next_delay(
            status.exit_code, ran_for, manually_stopped=record.manually_stopped
        )
        if self.stopping:
            delay = None
        state.status = Status.EXITED if delay is None else Status.RESTARTING
        record.restart_count += delay is not None
        record.exec_ids.clear()
        self.networking.disconnect(record)
        self.mounting.release(record)
        goes_away = delay is None and record.host_config.auto_remove and not entry.restarted_by_hand
        if not goes_away:  # until its bundle is gone, the exit status in there says as much
            self.store.note(record)
        announce(
            self.events,
            record,
            "die",
            exitCode=str(status.exit_code),
            execDuration=str(int(ran_for)),
        )
        entry.waits.exited(WaitResult(state.exit_code, state.error), final=delay is None)
        await self._let_go(shim)
        self.bundles.remove(record)
        if delay is not None:
            entry.restarter = self.background.start(self._restart(entry, delay))
        elif goes_away:
            await self.auto_remove(entry)

    async def _let_go(self, shim: Shim | None) -> None:
        """Tell a shim that its container's exit is on disk."""
        if shim is not None:
            with contextlib.suppress(ShimError):
                await shim.quit()

    async def _restart(self, entry: Entry, delay: float) -> None:
        """Start a container again after its policy's pause."""
        await asyncio.sleep(delay)
        async with entry.lock:
            entry.restarter = None
            if entry.state.status is not Status.RESTARTING:
                return
            try:
                await self._start(entry)
            except LadingError as error:
                _log.warning("container %s could not be restarted: %s", entry.id, error)

    def cancel_restart(self, entry: Entry) -> bool:
        """End a container's wait for its restart; tells whether there was one."""
        if entry.restarter is None:
            return False
        entry.restarter.cancel()
        entry.restarter = None
        entry.state.status = Status.EXITED
        self.store.note(entry.record)
        entry.waits.exited(WaitResult(entry.state.exit_code, entry.state.error), final=True)
        return True


def _check_startable(entry: Entry) -> None:
    state = entry.state
    if state.status is Status.PAUSED:
        raise Conflict("cannot start a paused container, try unpause instead")
    if state.running:
        raise NotModified("container is already running")
    if entry.removing or state.status in (Status.REMOVING, Status.DEAD):
        raise Conflict("container is marked for removal and cannot be started")


async def _hand_over_clients(entry: Entry, shim: Shim) -> None:
    """Connect those who attached before the start, so that they miss no byte."""
    clients, entry.clients = entry.clients, []
    for client in clients:
        await client.connect(shim)


def _close_clients(entry: Entry) -> None:
    clients, entry.clients = entry.clients, []
    for client in clients:
        client.close()


def _seconds_between(start: str, end: str) -> float:
    """Measure how long a container ran; its end is now if the shim did not say."""
    if start == NEVER:
        return 0.0
    ended = times.parsed(end) if end else time.time_ns()
    return max(0.0, (ended - times.parsed(start)) / 1e9)
