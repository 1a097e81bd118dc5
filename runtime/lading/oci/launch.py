"""Carrying out a plan: the runtime's steps here, the process's own after the clone.

Both processes time each step. A step of the process's that fails is told through the connection;
whoever learns of a failure undoes the runtime's steps, last first.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import msgspec

from lading.errors import LadingError
from lading.kernel.errors import KernelError
from lading.kernel.process import Exit, pidfd_send_signal, wait_pidfd
from lading.oci import channel
from lading.oci.channel import Failed, GoOn
from lading.oci.steps.base import Context, Refused, Step, StepFailed, Timing
from lading.oci.steps.cgroups import close_cgroup
from lading.oci.steps.sync import AwaitRuntime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.oci.plan import Plan

_FAILED = 1


class Launch:
    """A plan being carried out, as the runtime sees it.

    After `begin` the process exists: `ctx.pid`, `ctx.pidfd`, and `ctx.channel` leads to it.
    """

    def __init__(self, plan: Plan, ctx: Context) -> None:
        self.plan = plan
        self.ctx = ctx
        self._times: dict[int, int] = {}
        self._reported: list[int] = []

    def begin(self) -> None:
        """Carry out the plan up to the clone and `outfit`. Raises StepFailed, all undone."""
        try:
            self._execute(self.plan.prepare)
            self._clone()
            self._execute(self.plan.outfit)
            if any(isinstance(step, AwaitRuntime) for step in self.plan.setup):
                self.ctx.link().send(GoOn())
        except BaseException:
            self.abandon()
            raise
        finally:
            self._close_borrowed()

    def _clone(self) -> None:
        ours, theirs = channel.pair()
        self._execute((self.plan.clone,))
        if self.ctx.pid == 0:
            ours.close()
            self.ctx.channel = theirs
            _become_container(self.plan, self.ctx)
        theirs.close()
        self.ctx.channel = ours

    def run_hooks(self) -> None:
        """Run the runtime's hooks, then let the process go on. Raises StepFailed."""
        self._execute(self.plan.runtime_hooks)
        self.ctx.link().send(GoOn())

    def _execute(self, steps: Iterable[Step]) -> None:
        for step in steps:
            began = time.monotonic_ns()
            try:
                step.execute(self.ctx)
            except (OSError, LadingError) as error:
                with suppress(OSError, LadingError):
                    step.undo(self.ctx)
                raise told(step, error) from error
            self.ctx.undoable.append(step)
            self._times[id(step)] = time.monotonic_ns() - began

    def report(self, timings: list[int]) -> None:
        """Take note of what the process's steps took, in their order."""
        self._reported += timings

    def timings(self) -> tuple[Timing, ...]:
        """Give what each step took that was timed until now, in order."""
        own_steps = [*self.plan.setup, *self.plan.run]
        for step, nanoseconds in zip(own_steps, self._reported, strict=False):
            self._times[id(step)] = nanoseconds
        return tuple(
            Timing(step.name, step.describe(), where, self._times[id(step)])
            for where, step in self.plan.placed()
            if id(step) in self._times
        )

    def abandon(self) -> Exit | None:
        """Kill and reap the process, if there is one, and undo the runtime's steps."""
        ended = None
        if self.ctx.pid > 0:
            with suppress(KernelError):
                pidfd_send_signal(self.ctx.pidfd, signal.SIGKILL)
            with suppress(KernelError):
                ended = wait_pidfd(self.ctx.pidfd)
            self.ctx.pid = 0
        while self.ctx.undoable:
            with suppress(OSError, LadingError):
                step = self.ctx.undoable.pop()
                step.undo(self.ctx)
        self.close()
        return ended

    def close(self) -> None:
        """Close the connection and the pidfd."""
        if self.ctx.channel is not None:
            self.ctx.channel.close()
        if self.ctx.pidfd >= 0:
            os.close(self.ctx.pidfd)
            self.ctx.pidfd = -1

    def _close_borrowed(self) -> None:
        """Close what only the process needed, which has its own copies by now."""
        close_cgroup(self.ctx)
        trees, self.ctx.trees = self.ctx.trees, {}
        for descriptor in trees.values():
            os.close(descriptor)
        for name in ("start_directory", "terminal", "target"):
            descriptor = getattr(self.ctx, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self.ctx, name, -1)


def told(step: Step, error: BaseException) -> StepFailed:
    """Say what failed at *step*, in one sentence."""
    number = getattr(error, "errno", None) or 0
    if isinstance(error, StepFailed):
        return error
    if isinstance(error, Refused | KernelError):
        return StepFailed(str(error), step=step.name, errno=number)
    if isinstance(error, OSError):
        return StepFailed(f"{step.describe()}: {error.strerror}", step=step.name, errno=number)
    if isinstance(error, LadingError):
        return StepFailed(error.message, step=step.name)
    return StepFailed(f"{step.describe()}: {type(error).__name__}: {error}", step=step.name)


def _become_container(plan: Plan, ctx: Context) -> NoReturn:
    """Be the container's process: carry out its steps, the last of which executes the program."""
    gc.disable()  # a collection would touch, and so copy, all of the runtime's memory
    steps = (*plan.setup, *plan.run)
    step: Step = steps[0]
    try:
        for step in steps:
            began = time.monotonic_ns()
            step.execute(ctx)
            ctx.timings.append(time.monotonic_ns() - began)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the runtime shall tell it)
        _tell(told(step, error), ctx)
    finally:
        os._exit(_FAILED)


def _tell(failure: StepFailed, ctx: Context) -> None:
    message = Failed(step=failure.step, errno=failure.errno, message=failure.message)
    with suppress(OSError):
        if ctx.channel is not None:
            ctx.channel.send(message)
        elif ctx.fifo >= 0:
            os.write(ctx.fifo, msgspec.json.encode(message))
        else:
            os.write(2, f"{failure.message}\n".encode())
