"""Running programs, with their failures in one sentence."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

PATIENCE = float(os.environ.get("LADING_PATIENCE", "1"))
"""How many times longer than on a machine of one's own things may take: more under emulation."""


class LabError(Exception):
    """The lab cannot do what was asked; the message is one sentence for a person."""


def run(*command: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its output.

    Raises LabError with the last line the program wrote when it fails or is not there.
    """
    if shutil.which(command[0]) is None:
        raise LabError(f"{command[0]} is not installed: `sudo ./bootstrap test` installs it")
    done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        reason = words[-1] if words else f"it ended with {done.returncode}"
        raise LabError(f"{' '.join(command[:4])}: {reason}")
    return done.stdout


def require(*programs: str) -> None:
    """Raise LabError that names every one of `programs` that is not installed."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise LabError(f"{', '.join(missing)} not installed: `sudo ./bootstrap test` installs them")


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition of another program; LabError names `what` did not come in time."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(pid: int, seconds: float = 15.0) -> None:
    """Ask a process to end, wait for it, and kill it when it does not."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
            if select.select([pidfd], [], [], patience)[0]:
                break
    finally:
        os.close(pidfd)
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
