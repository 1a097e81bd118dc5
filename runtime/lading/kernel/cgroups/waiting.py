"""Waiting on a cgroup for what the kernel can tell: events files, and processes that end."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from contextlib import suppress

from lading.kernel.cgroups import files
from lading.kernel.errors import Attempt, KernelError
from lading.kernel.process import pidfd_open, pidfd_send_signal

_SHORTEST, _LONGEST = 0.0005, 0.02


def for_event(directory: str, key: str, value: int, seconds: float) -> bool:
    """Wait until cgroup.events (v2) shows *key* as *value*; False when *seconds* have passed.

    A cgroup that is gone counts as reached.
    """
    path = f"{directory}/cgroup.events"
    try:
        with Attempt("open", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return True
        raise
    deadline = time.monotonic() + seconds
    poller = select.poll()
    poller.register(descriptor, select.POLLPRI)
    try:
        while True:
            try:
                text = os.pread(descriptor, 4096, 0).decode()
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return True
                raise
            if files.keyed(text).get(key) == value:
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            poller.poll(remaining * 1000)
    finally:
        os.close(descriptor)


def until_ended(pids: set[int], seconds: float) -> bool:
    """Wait until all of *pids* have ended; False when *seconds* have passed."""
    deadline = time.monotonic() + seconds
    for pid in pids:
        try:
            pidfd = pidfd_open(pid)
        except KernelError:
            continue
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        try:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return False
        finally:
            os.close(pidfd)
    return True


def kill_each(pids: set[int]) -> None:
    """Send SIGKILL to each of *pids* that still exists."""
    for pid in pids:
        with suppress(KernelError):
            pidfd = pidfd_open(pid)
            try:
                pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


def for_text(directory: str, name: str, value: str, seconds: float) -> bool:
    """Wait until a file that gives no event reads *value*; False when *seconds* have passed."""
    deadline = time.monotonic() + seconds
    pause = _SHORTEST
    while files.read(directory, name) != value:
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    return True


def remove_tree(directory: str, seconds: float, *, unified: bool) -> None:
    """Remove a cgroup directory and the cgroups below it; gone already is fine.

    A busy one is tried again when the kernel tells that its processes have left it. The last
    part of a process's end has no event, so short pauses follow, up to *seconds* in all.
    Raises KernelError EBUSY when processes stay.
    """
    deadline = time.monotonic() + seconds
    pause = _SHORTEST
    while True:
        number = _try_remove(directory)
        if number == 0:
            return
        if number != errno.EBUSY or time.monotonic() >= deadline:
            raise KernelError(number, "remove cgroup", directory)
        if unified:
            for_event(directory, "populated", 0, deadline - time.monotonic())
        else:
            pids = files.process_ids(directory, recursive=True)
            until_ended(pids, deadline - time.monotonic())
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def _try_remove(directory: str) -> int:
    """Remove the tree from the leaves up; gives the errno of the first failure, or 0."""
    number = _rmdir(directory)
    if number != errno.EBUSY:
        return number
    for path, _, _ in os.walk(directory, topdown=False):
        number = _rmdir(path)
        if number:
            return number
    return 0


def _rmdir(path: str) -> int:
    try:
        os.rmdir(path)
    except OSError as error:
        return 0 if error.errno in (errno.ENOENT, errno.ENODEV) else error.errno or errno.EIO
    return 0
