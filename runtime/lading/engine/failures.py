"""What is said of a container or process that could not be started, and with which exit code."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from lading.errors import InvalidParameter, LadingError
from lading.shim.client import StepFailed

NOT_FOUND = 127
NOT_EXECUTABLE = 126
OTHER = 128

CREATE = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: "
)
EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "

_WRONG_KIND = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed start: the exit code that the container shows, and the error for the client."""

    exit_code: int
    error: LadingError


def failure_of(error: LadingError, prefix: str = CREATE) -> Failure:
    """Judge why a process could not be started, as `docker run` does: 126, 127 or 128.

    What the image or the command is to blame for is InvalidParameter; the rest keeps its status.
    """
    if not isinstance(error, StepFailed):
        return Failure(OTHER, error)
    message = prefix + error.message
    match error.errno:
        case errno.ENOENT:
            return Failure(NOT_FOUND, InvalidParameter(message))
        case errno.EACCES | errno.EISDIR:
            return Failure(NOT_EXECUTABLE, InvalidParameter(message))
        case errno.ENOTDIR:
            return Failure(NOT_FOUND, InvalidParameter(message + _WRONG_KIND))
        case _:
            return Failure(OTHER, LadingError(message))
