"""What a failed system call looks like: the call, what it was applied to, and the kernel's word."""

from __future__ import annotations

import errno as errnos
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class KernelError(OSError):
    """A system call failed; `str()` reads "mount overlay on /x: Invalid argument (EINVAL)".

    `call` names what was tried ("mount overlay on"), `target` what it was applied to (a path, a
    pid, a name, or ""), `errno` is the kernel's number.
    """

    def __init__(self, number: int, call: str, target: object = "") -> None:
        super().__init__(number, os.strerror(number))
        self.call = call
        self.target = _text(target)

    def __str__(self) -> str:
        subject = f"{self.call} {self.target}" if self.target else self.call
        name = errnos.errorcode.get(self.errno or 0, f"errno {self.errno}")
        return f"{subject}: {self.strerror} ({name})"


class Attempt:
    """Turn an `OSError` from the standard library into a `KernelError` that names the call.

    >>> with Attempt("mknod", path):
    ...     os.mknod(path, mode, device)
    """

    __slots__ = ("call", "target")

    def __init__(self, call: str, target: object = "") -> None:
        self.call = call
        self.target = target

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError) and not isinstance(error, KernelError):
            raise KernelError(error.errno or errnos.EIO, self.call, self.target) from error


def _text(target: object) -> str:
    return os.fsdecode(target) if isinstance(target, bytes) else str(target)
