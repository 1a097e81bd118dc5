"""What is said of a container or process that could not be started, and with which exit code."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from lading.errors import LadingError
from lading.shim.client import StepFailed

NOT_FOUND = 127
NOT_EXECUTABLE = 126
OTHER = 128

_CREATE = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: "
)
_INIT = "unable to start container process: error during container init: "
_EXEC = "OCI runtime exec failed: exec failed: "
_EXEC_INIT = "unable to start container process: "

_WRONG_KIND = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)
_MOUNTS = frozenset({"BindMount", "OpenMountSource", "MountFileSystem"})


class CannotStart(LadingError):
    """A process could not be started: its exit code is 126, 127 or 128, as a shell would have it.

    The status is 400 where the image or the command is to blame.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.status = 500 if exit_code == OTHER else 400


@contextmanager
def creating() -> Iterator[None]:
    """Give the runtime's failures while a container is created and started Docker's words."""
    with _in_words(_CREATE, _INIT):
        yield


@contextmanager
def executing() -> Iterator[None]:
    """Give the runtime's failures at an exec Docker's words."""
    with _in_words(_EXEC, _EXEC_INIT):
        yield


@contextmanager
def _in_words(runtime: str, process: str) -> Iterator[None]:
    try:
        yield
    except StepFailed as error:
        message = runtime + process + error.message
        if error.errno == errno.ENOTDIR and error.step in _MOUNTS:
            message += _WRONG_KIND
        raise CannotStart(message, exit_code=_exit_code(error.errno)) from error
    except LadingError as error:
        raise CannotStart(runtime + error.message, exit_code=OTHER) from error


def _exit_code(number: int) -> int:
    """Give the exit code that a shell has for what the kernel said."""
    match number:
        case errno.ENOENT | errno.ENOTDIR:
            return NOT_FOUND
        case errno.EACCES | errno.EISDIR:
            return NOT_EXECUTABLE
        case _:
            return OTHER
