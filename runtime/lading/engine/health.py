"""Health checks: probes run in a container at intervals, and what they say of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from lading.engine import times
from lading.engine.announce import announce
from lading.engine.background import Background
from lading.engine.events import EventBus
from lading.engine.model import (
    Container,
    ExecConfig,
    Health,
    Healthcheck,
    HealthcheckResult,
    HealthStatus,
)
from lading.engine.registry import Entry
from lading.errors import LadingError

SECOND = 1_000_000_000
KEPT_RESULTS = 5
OUTPUT_LIMIT = 4096
"""Bytes of a probe's output that are kept, as in Docker."""

_DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to probe; seconds, with Docker's defaults where the configuration says 0."""

    interval: float
    timeout: float
    start_period: float
    start_interval: float
    retries: int

    @classmethod
    def of(cls, health: Healthcheck) -> Schedule:
        """Read a health check's configuration."""
        return cls(
            interval=(health.interval or 30 * SECOND) / SECOND,
            timeout=(health.timeout or 30 * SECOND) / SECOND,
            start_period=health.start_period / SECOND,
            start_interval=(health.start_interval or 5 * SECOND) / SECOND,
            retries=health.retries or 3,
        )


class Probe(Protocol):
    """A probe that runs: a process in the container and its output."""

    async def finish(self) -> int:
        """Wait for the end; gives the exit code."""
        ...

    async def kill(self) -> None:
        """End it at once."""
        ...

    @property
    def output(self) -> bytes:
        """What it wrote so far, the beginning of it."""
        ...


StartProbe = Callable[[Entry, ExecConfig], Awaitable[Probe]]


def probe_command(record: Container) -> list[str] | None:
    """Give the command of a container's health check; None if it has none."""
    health = record.config.healthcheck
    test = (health.test if health else None) or ["NONE"]
    match test[0]:
        case "CMD":
            return test[1:]
        case "CMD-SHELL":
            return [*(record.config.shell or _DEFAULT_SHELL), *test[1:2]]
        case _:
            return None


@dataclass(slots=True)
class HealthChecks:
    """Probes all running containers that have a health check."""

    start_probe: StartProbe
    events: EventBus
    background: Background
    save: Callable[[Container], None]

    def begin(self, entry: Entry, *, afresh: bool = True) -> None:
        """Start probing a container that runs now: it counts as starting if it begins `afresh`."""
        record = entry.record
        command = probe_command(record)
        if not command or record.config.healthcheck is None:
            return
        health = record.state.health or Health()
        if afresh:
            health.status, health.failing_streak = HealthStatus.STARTING, 0
        record.state.health = health
        schedule = Schedule.of(record.config.healthcheck)
        entry.probes = self.background.start(self._probe_on(entry, health, schedule, command))

    def end(self, entry: Entry) -> None:
        """Stop probing: the container stopped or is paused, which counts as unhealthy."""
        if entry.probes is not None:
            entry.probes.cancel()
            entry.probes = None
            if entry.state.health is not None:
                entry.state.health.status = HealthStatus.UNHEALTHY

    async def _probe_on(
        self, entry: Entry, health: Health, schedule: Schedule, command: list[str]
    ) -> None:
        started = times.parsed(entry.state.started_at)
        while True:
            await asyncio.sleep(next_pause(health, schedule, started))
            result = await self._run(entry, schedule, command)
            before = health.status
            judge(health, result, schedule, started)
            if health.status is not before:
                self.save(entry.record)
                announce(self.events, entry.record, f"health_status: {health.status}")

    async def _run(self, entry: Entry, schedule: Schedule, command: list[str]) -> HealthcheckResult:
        """Run one probe, to its end or to its timeout."""
        start = times.now()
        try:
            probe = await self.start_probe(
                entry, ExecConfig(cmd=command, attach_stdout=True, attach_stderr=True)
            )
        except LadingError as error:
            return HealthcheckResult(start, times.now(), -1, error.message)
        try:
            async with asyncio.timeout(schedule.timeout):
                code = await probe.finish()
        except TimeoutError:
            with contextlib.suppress(LadingError):
                await probe.kill()
            told = f"Health check exceeded timeout ({_duration(schedule.timeout)})"
            output = _text(probe.output)
            told += f": {output}" if output else ""
            return HealthcheckResult(start, times.now(), -1, told)
        return HealthcheckResult(start, times.now(), code, _text(probe.output))


def next_pause(health: Health, schedule: Schedule, started: int) -> float:
    """Give the seconds to the next probe: other ones until the container is up."""
    within = time.time_ns() - started < schedule.start_period * SECOND
    if within and health.status is HealthStatus.STARTING:
        return schedule.start_interval
    return schedule.interval


def judge(health: Health, result: HealthcheckResult, schedule: Schedule, started: int) -> None:
    """Add a probe's result: failures count once the start period is over, or after a success."""
    health.log = [*health.log, result][-KEPT_RESULTS:]
    if result.exit_code == 0:
        health.status, health.failing_streak = HealthStatus.HEALTHY, 0
        return
    since_start = times.parsed(result.start) - started
    if health.status is HealthStatus.STARTING and since_start < schedule.start_period * SECOND:
        return
    health.failing_streak += 1
    if health.failing_streak >= schedule.retries:
        health.status = HealthStatus.UNHEALTHY


def _text(output: bytes) -> str:
    text = output[:OUTPUT_LIMIT].decode("utf-8", "replace")
    return text + "..." if len(output) > OUTPUT_LIMIT else text


def _duration(seconds: float) -> str:
    """Write a duration as Go does, as far as health checks need it: `30s`, `500ms`, `1m30s`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
