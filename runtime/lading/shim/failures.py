"""Errors on their way to the daemon, and those that are nobody's to hear."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress

from lading.errors import LadingError
from lading.oci.steps.base import StepFailed
from lading.shim.moments import rfc3339
from lading.shim.protocol import ErrorInfo

NOTES_NAME = "shim.log"


def error_info(error: Exception) -> ErrorInfo:
    """Put an error into a message."""
    if isinstance(error, StepFailed):
        return ErrorInfo(
            message=error.message, step=error.step, errno=error.errno, status=error.status
        )
    if isinstance(error, LadingError):
        return ErrorInfo(message=error.message, status=error.status)
    if isinstance(error, OSError):
        return ErrorInfo(message=str(error), errno=error.errno or 0)
    return ErrorInfo(message=f"the shim has a bug: {type(error).__name__}: {error}")


def note(bundle: str, error: Exception) -> None:
    """Write an error down where somebody who looks for it finds it: shim.log in the bundle."""
    lines = "".join(traceback.format_exception(error))
    with suppress(OSError), open(f"{bundle}/{NOTES_NAME}", "a", encoding="utf-8") as file:
        file.write(f"{rfc3339(time.time_ns())}\n{lines}\n")


def note_bug(bundle: str, error: Exception) -> None:
    """Write an error down unless it is one that can be expected."""
    if not isinstance(error, (LadingError, OSError)):
        note(bundle, error)
