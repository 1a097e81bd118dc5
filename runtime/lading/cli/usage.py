"""What a container uses, worked out from the API's samples as `docker stats` does."""

from __future__ import annotations

from lading.cli.units import binary_size, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Usage:
    """The figures of one container; `known` is False until there is a sample, or after it ended."""

    def __init__(self, container: str) -> None:
        self.container = container
        self.known = False
        self.name = ""
        self.id = ""
        self.cpu = 0.0
        self.memory = 0
        self.memory_limit = 0
        self.received = 0
        self.sent = 0
        self.read = 0
        self.written = 0
        self.processes = 0

    def take(self, sample: dict[str, Any]) -> None:
        """Take over a sample of GET /containers/{id}/stats."""
        self.known = True
        self.name = sample.get("name", "").removeprefix("/")
        self.id = sample.get("id", "")
        self.cpu = cpu_percent(sample)
        memory = sample.get("memory_stats") or {}
        self.memory, self.memory_limit = used_memory(memory), memory.get("limit", 0)
        interfaces = (sample.get("networks") or {}).values()
        self.received = sum(interface.get("rx_bytes", 0) for interface in interfaces)
        self.sent = sum(interface.get("tx_bytes", 0) for interface in interfaces)
        blocks = (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
        self.read = _sum(blocks, "r")
        self.written = _sum(blocks, "w")
        self.processes = (sample.get("pids_stats") or {}).get("current", 0)

    @property
    def memory_percent(self) -> float:
        """How much of its limit the container uses."""
        return self.memory / self.memory_limit * 100 if self.memory_limit else 0.0

    def cpu_text(self) -> str:
        """Show the use of CPU, of which each CPU has 100%."""
        return f"{self.cpu:.2f}%" if self.known else "--"

    def memory_text(self) -> str:
        """Show memory used and its limit."""
        if not self.known:
            return "-- / --"
        return f"{binary_size(self.memory)} / {binary_size(self.memory_limit)}"

    def memory_percent_text(self) -> str:
        """Show the share of the limit."""
        return f"{self.memory_percent:.2f}%" if self.known else "--"

    def network_text(self) -> str:
        """Show bytes received and sent."""
        return self._pair(self.received, self.sent)

    def block_text(self) -> str:
        """Show bytes read and written."""
        return self._pair(self.read, self.written)

    def _pair(self, one: int, other: int) -> str:
        return f"{human_size(one)} / {human_size(other)}" if self.known else "--"

    def processes_text(self) -> str:
        """Show the number of processes."""
        return str(self.processes) if self.known else "--"


def _sum(entries: list[dict[str, Any]], first_letter: str) -> int:
    return sum(e.get("value", 0) for e in entries if e.get("op", "")[:1].lower() == first_letter)


def cpu_percent(sample: dict[str, Any]) -> float:
    """Work out the share of CPU time between the sample and the one before it."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    used = _total(now) - _total(before)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ())
    return used / passed * cpus * 100 if used > 0 and passed > 0 else 0.0


def _total(stats: dict[str, Any]) -> int:
    return int((stats.get("cpu_usage") or {}).get("total_usage", 0))


def used_memory(memory: dict[str, Any]) -> int:
    """Give the memory in use without the page cache that could be dropped at once."""
    usage, details = memory.get("usage", 0), memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):
        if key in details:
            return int(usage - details[key]) if details[key] < usage else int(usage)
    return int(usage)
