"""Where archives go: stdout, or a file that appears only when it is complete."""

from __future__ import annotations

import os

from lading.cli.command import STDOUT, write_all
from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lading.cli.command import Context


class Output:
    """A place to write an archive to; a file is written beside its place and renamed at the end.

    Raises CliError for a terminal, and for a place that cannot be.
    """

    def __init__(self, context: Context, path: str, *, what: str) -> None:
        self._path = path
        self._temporary = ""
        self._fd = STDOUT
        if not path:
            if context.width() is not None:
                raise CliError(
                    "cowardly refusing to save to a terminal. Use the -o flag or redirect"
                )
            return
        self._open(what)

    def _open(self, what: str) -> None:
        if os.path.isdir(self._path):
            raise CliError(
                f"failed to {what}: invalid output path: {self._path} must not be a directory"
            )
        parent = os.path.dirname(self._path) or "."
        if not os.path.isdir(parent):
            raise CliError(
                f"failed to {what}: invalid output path: stat {parent}: no such file or directory"
            )
        if os.path.exists(self._path) and not os.path.isfile(self._path):
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            return
        self._temporary = f"{self._path}.{os.getpid()}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._fd = os.open(self._temporary, flags, 0o600)

    def __enter__(self) -> Output:
        return self

    def write(self, data: bytes) -> None:
        """Write a piece of the archive."""
        write_all(self._fd, data)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._fd != STDOUT:
            os.close(self._fd)
        if not self._temporary:
            return
        if kind is None:
            os.replace(self._temporary, self._path)
        else:
            os.unlink(self._temporary)
