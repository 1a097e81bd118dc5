"""What limits look like to `Cgroup.apply`: the shape of OCI's LinuxResources, in snake case.

These are protocols, so the OCI model's own types fit without this layer knowing them. Every field
that is None (or, for sequences, empty) is left as the kernel has it.
Source: OCI runtime-spec 1.2, config-linux.md, "Control groups".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class DeviceRule(Protocol):
    """Allow or deny access to devices; None for a number means all."""

    @property
    def allow(self) -> bool: ...  # noqa: D102
    @property
    def type(self) -> str | None: ...  # noqa: D102
    @property
    def major(self) -> int | None: ...  # noqa: D102
    @property
    def minor(self) -> int | None: ...  # noqa: D102
    @property
    def access(self) -> str | None: ...  # noqa: D102


class Memory(Protocol):
    """Sizes in bytes, -1 for unlimited; `swap` is memory + swap; `swappiness` 0 to 100."""

    @property
    def limit(self) -> int | None: ...  # noqa: D102
    @property
    def reservation(self) -> int | None: ...  # noqa: D102
    @property
    def swap(self) -> int | None: ...  # noqa: D102
    @property
    def kernel(self) -> int | None: ...  # noqa: D102
    @property
    def kernel_tcp(self) -> int | None: ...  # noqa: D102
    @property
    def swappiness(self) -> int | None: ...  # noqa: D102
    @property
    def disable_oom_killer(self) -> bool | None: ...  # noqa: D102


class Cpu(Protocol):
    """`shares` relative (1024 is one), `quota` and `period` in µs, `cpus`/`mems` as "0-2,4"."""

    @property
    def shares(self) -> int | None: ...  # noqa: D102
    @property
    def quota(self) -> int | None: ...  # noqa: D102
    @property
    def period(self) -> int | None: ...  # noqa: D102
    @property
    def burst(self) -> int | None: ...  # noqa: D102
    @property
    def realtime_runtime(self) -> int | None: ...  # noqa: D102
    @property
    def realtime_period(self) -> int | None: ...  # noqa: D102
    @property
    def cpus(self) -> str | None: ...  # noqa: D102
    @property
    def mems(self) -> str | None: ...  # noqa: D102
    @property
    def idle(self) -> int | None: ...  # noqa: D102


class Pids(Protocol):
    """How many tasks; 0 or less for unlimited."""

    @property
    def limit(self) -> int | None: ...  # noqa: D102


class WeightDevice(Protocol):
    """The I/O weight (10 to 1000) for one block device."""

    @property
    def major(self) -> int: ...  # noqa: D102
    @property
    def minor(self) -> int: ...  # noqa: D102
    @property
    def weight(self) -> int | None: ...  # noqa: D102


class ThrottleDevice(Protocol):
    """A rate for one block device: bytes or operations a second."""

    @property
    def major(self) -> int: ...  # noqa: D102
    @property
    def minor(self) -> int: ...  # noqa: D102
    @property
    def rate(self) -> int: ...  # noqa: D102


class BlockIO(Protocol):
    """Block I/O: a weight (10 to 1000) and limits by device."""

    @property
    def weight(self) -> int | None: ...  # noqa: D102
    @property
    def weight_device(self) -> Sequence[WeightDevice] | None: ...  # noqa: D102
    @property
    def throttle_read_bps_device(self) -> Sequence[ThrottleDevice] | None: ...  # noqa: D102
    @property
    def throttle_write_bps_device(self) -> Sequence[ThrottleDevice] | None: ...  # noqa: D102
    @property
    def throttle_read_iops_device(self) -> Sequence[ThrottleDevice] | None: ...  # noqa: D102
    @property
    def throttle_write_iops_device(self) -> Sequence[ThrottleDevice] | None: ...  # noqa: D102


class HugepageLimit(Protocol):
    """`limit` bytes of huge pages of `page_size` ("2MB")."""

    @property
    def page_size(self) -> str: ...  # noqa: D102
    @property
    def limit(self) -> int: ...  # noqa: D102


class Resources(Protocol):
    """OCI LinuxResources."""

    @property
    def devices(self) -> Sequence[DeviceRule] | None: ...  # noqa: D102
    @property
    def memory(self) -> Memory | None: ...  # noqa: D102
    @property
    def cpu(self) -> Cpu | None: ...  # noqa: D102
    @property
    def pids(self) -> Pids | None: ...  # noqa: D102
    @property
    def block_io(self) -> BlockIO | None: ...  # noqa: D102
    @property
    def hugepage_limits(self) -> Sequence[HugepageLimit] | None: ...  # noqa: D102
    @property
    def unified(self) -> Mapping[str, str] | None: ...  # noqa: D102
