"""What ends a command early, and with which exit status.

CliError            a sentence for stderr and an exit status
├── UsageError      the command line cannot be: also where to read how it can
├── ApiError        the daemon refused; carries the HTTP status
└── NoDaemon        nothing listens where the daemon should
"""

from __future__ import annotations


class CliError(Exception):
    """A command cannot go on; `str()` is the sentence for the user.

    `hint` is a second paragraph, and `prefixed` says whether "lading: " goes before the sentence.
    """

    def __init__(
        self, message: str, status: int = 1, *, hint: str = "", prefixed: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.hint = hint
        self.prefixed = prefixed

    def shown(self) -> str:
        """Give what is to be printed on stderr."""
        sentence = f"lading: {self.message}" if self.prefixed else self.message
        return f"{sentence}\n\n{self.hint}\n" if self.hint else f"{sentence}\n"


class UsageError(CliError):
    """The command line is not one that the command understands."""

    def __init__(self, message: str, status: int = 125, *, hint: str = "") -> None:
        super().__init__(message, status, hint=hint, prefixed=True)


class ApiError(CliError):
    """The daemon answered with an error; `http_status` is its status, `reason` its own words."""

    def __init__(self, http_status: int, reason: str) -> None:
        super().__init__(f"Error response from daemon: {reason}")
        self.http_status = http_status
        self.reason = reason


class NoDaemon(CliError):
    """No daemon answers at the address."""

    def __init__(self, host: str, reason: str = "") -> None:
        message = f"Cannot connect to the Lading daemon at {host}. Is ladingd running?"
        super().__init__(f"{message} ({reason})" if reason else message)


class Exit(Exception):
    """End the command with a status and no message."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
