"""ContainerConfig: what of a container is portable between hosts (and comes from its image)."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import field

from lading.engine.model.wire import Wire

Strings = list[str] | None
"""A list that may be absent: Docker shows `null` and `[]` as they were given."""

Command = list[str] | str | None
"""A command as a request gives it: words, or one string that is one word."""


class Healthcheck(Wire):
    """How to test that a container works; durations are nanoseconds, 0 means inherit or default.

    `test` is `[]` (inherit), `["NONE"]`, `["CMD", word…]` or `["CMD-SHELL", line]`.
    """

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {"Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"}
    )

    test: Strings = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(Wire):
    """The portable part of a container's configuration (API definition ContainerConfig)."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {
            "ExposedPorts",
            "Healthcheck",
            "ArgsEscaped",
            "NetworkDisabled",
            "MacAddress",
            "StopSignal",
            "StopTimeout",
            "Shell",
        }
    )

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Any] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: Strings = None
    cmd: Command = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Any] | None = None
    working_dir: str = ""
    entrypoint: Command = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: Strings = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: Strings = None

    def __post_init__(self) -> None:
        """Take a command given as one string as its only word, as Docker does."""
        if isinstance(self.cmd, str):
            self.cmd = [self.cmd]
        if isinstance(self.entrypoint, str):
            self.entrypoint = [self.entrypoint]

    @classmethod
    def of(cls, other: ContainerConfig) -> ContainerConfig:
        """Give a configuration of one's own that says what `other` (or what is made of it) says."""
        return ContainerConfig(
            **{name: getattr(other, name) for name in ContainerConfig.__struct_fields__}
        )

    @property
    def words(self) -> list[str]:
        """Entrypoint and command as one argument vector."""
        return [*(self.entrypoint or ()), *(self.cmd or ())]


class ExecConfig(Wire):
    """A request to run a further process in a container (API operation ContainerExec)."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] | None = None
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach_keys: str = ""
    env: Strings = None
    working_dir: str = ""
    cmd: Command = None

    def __post_init__(self) -> None:
        """Take a command given as one string as its only word."""
        if isinstance(self.cmd, str):
            self.cmd = [self.cmd]


class ExecStartConfig(Wire):
    """How to start an exec (API operation ExecStart)."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None


class LogOptions(Wire):
    """Which part of a container's log to give (API operation ContainerLogs).

    `since` and `until` are nanoseconds since the epoch, 0 for no bound; `tail` counts lines, None
    for all of them.
    """

    stdout: bool = False
    stderr: bool = False
    follow: bool = False
    timestamps: bool = False
    details: bool = False
    since: int = 0
    until: int = 0
    tail: int | None = None


class AttachOptions(Wire):
    """How to attach to a container's streams (API operation ContainerAttach)."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = False
    logs: bool = False
    detach_keys: str = field(default="")
