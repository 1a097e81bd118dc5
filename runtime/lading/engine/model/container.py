"""The container itself: its state, its mounts, and the record kept of it on disk."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import msgspec
from msgspec import field

from lading.engine.model.config import ContainerConfig
from lading.engine.model.host import HostConfig
from lading.engine.model.network import NetworkSettings
from lading.engine.model.wire import Wire, to_wire

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: a container that never started has it as StartedAt and FinishedAt."""


class Status(enum.StrEnum):
    """Where a container is in its life, in Docker's words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class HealthStatus(enum.StrEnum):
    """What the health check says of a container."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class HealthcheckResult(Wire):
    """One run of a health check; times are RFC 3339 with nanoseconds."""

    start: str
    end: str
    exit_code: int
    output: str


class Health(Wire):
    """A container's health: the status, the failures in a row, and the last five results."""

    status: HealthStatus = HealthStatus.STARTING
    failing_streak: int = 0
    log: list[HealthcheckResult] = field(default_factory=list)


class State(Wire):
    """A container's state; times are RFC 3339 with nanoseconds, `NEVER` before the first start.

    `pid` is the host's id of the container's first process, 0 when it does not run.
    """

    status: Status = Status.CREATED
    oom_killed: bool = field(default=False, name="OOMKilled")
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = NEVER
    finished_at: str = NEVER
    health: Health | None = None

    @property
    def running(self) -> bool:
        """Whether the container counts as running: paused and restarting ones do, as in Docker."""
        return self.status in _RUNNING

    @property
    def paused(self) -> bool:
        """Whether the container is frozen."""
        return self.status is Status.PAUSED

    @property
    def restarting(self) -> bool:
        """Whether the container waits for its restart policy to start it again."""
        return self.status is Status.RESTARTING

    def shown(self) -> dict[str, Any]:
        """Give the state as the API shows it (API definition ContainerState)."""
        shown = {
            "Status": str(self.status),
            "Running": self.running,
            "Paused": self.paused,
            "Restarting": self.restarting,
            "OOMKilled": self.oom_killed,
            "Dead": self.status is Status.DEAD,
            "Pid": self.pid,
            "ExitCode": self.exit_code,
            "Error": self.error,
            "StartedAt": self.started_at,
            "FinishedAt": self.finished_at,
        }
        if self.health is not None:
            shown["Health"] = to_wire(self.health)
        return shown


_RUNNING = frozenset({Status.RUNNING, Status.PAUSED, Status.RESTARTING})


class MountPoint(Wire):
    """A mount of a container as it was settled at creation (API definition MountPoint)."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset({"Type", "Name", "Driver"})

    type: str = ""
    name: str = ""
    source: str = ""
    destination: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = field(default=True, name="RW")
    propagation: str = ""


class MountDetail(msgspec.Struct, kw_only=True):
    """What starting a container needs of a mount beyond what `MountPoint` shows.

    `options` are the words of a tmpfs; `subpath` is inside a volume or an image; an anonymous
    volume is removed with its container when asked (`-v`, `--rm`); `image_id` is a mounted image's.
    """

    anonymous: bool = False
    subpath: str = ""
    image_id: str = ""
    options: list[str] = field(default_factory=list)
    non_recursive: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False
    create_source: bool = False


class MountRecord(msgspec.Struct, kw_only=True):
    """A settled mount: what inspect shows of it, and what a start needs."""

    point: MountPoint
    detail: MountDetail = field(default_factory=MountDetail)


class Container(Wire):
    """A container as the engine keeps it, in memory and in ROOT/containers/<id>/container.json.

    `name` has no leading slash; `image_id` is `sha256:…`; `created` is RFC 3339 with nanoseconds.
    `wished_macs` are the MAC addresses that the user chose, by network name.
    """

    id: str
    name: str
    created: str
    path: str
    args: list[str]
    image_id: str
    config: ContainerConfig
    host_config: HostConfig
    state: State = field(default_factory=State)
    network_settings: NetworkSettings = field(default_factory=NetworkSettings)
    mounts: list[MountRecord] = field(default_factory=list)
    wished_macs: dict[str, str] = field(default_factory=dict)
    restart_count: int = 0
    has_been_started: bool = False
    manually_stopped: bool = False
    log_path: str = ""
    hostname_path: str = ""
    hosts_path: str = ""
    resolv_conf_path: str = ""
    driver: str = "overlay2"
    platform: str = "linux"
    app_armor_profile: str = ""
    process_label: str = ""
    mount_label: str = ""
    exec_ids: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Whether the container counts as running."""
        return self.state.running

    @property
    def short_id(self) -> str:
        """The first twelve characters of the id: the default host name."""
        return self.id[:12]
