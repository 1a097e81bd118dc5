"""Restart policies: whether a container that exited is started again, and after what pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.engine.model import RestartPolicy

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STABLE_AFTER = 10.0
"""Seconds: a container that ran for so long starts with the first delay again."""


class RestartManager:
    """One container's restarts since somebody last started it."""

    def __init__(self, policy: RestartPolicy) -> None:
        self.policy = policy
        self._delay = 0.0
        self._count = 0
        self._cancelled = False

    def cancel(self) -> None:
        """Let the next exit be final: the container was stopped by somebody."""
        self._cancelled = True

    def reset(self, policy: RestartPolicy) -> None:
        """Begin anew: somebody started the container, or changed the policy."""
        self.policy = policy
        self._delay, self._count, self._cancelled = 0.0, 0, False

    def next_delay(self, exit_code: int, ran_for: float, *, manually_stopped: bool) -> float | None:
        """Give the seconds to wait before the container is started again; None: it stays down.

        `ran_for` is how long it ran, in seconds. The pauses double from 100 ms to a minute.
        """
        if ran_for >= STABLE_AFTER:
            self._delay = 0.0
        self._delay = min(self._delay * 2, LONGEST_DELAY) if self._delay else FIRST_DELAY
        if self._cancelled or not self._wanted(exit_code, manually_stopped):
            return None
        self._count += 1
        return self._delay

    def _wanted(self, exit_code: int, manually_stopped: bool) -> bool:
        match self.policy.name:
            case "always":
                return True
            case "unless-stopped":
                return not manually_stopped
            case "on-failure":
                most = self.policy.maximum_retry_count
                return exit_code != 0 and (most == 0 or self._count < most)
            case _:
                return False


def starts_with_daemon(policy: RestartPolicy, *, manually_stopped: bool, exit_code: int) -> bool:
    """Tell whether a container that does not run is started when the daemon starts."""
    match policy.name:
        case "always":
            return True
        case "unless-stopped":
            return not manually_stopped
        case "on-failure":
            return exit_code != 0 and not manually_stopped
        case _:
            return False
