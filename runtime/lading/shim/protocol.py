"""The messages between daemon, spawner and shim; `lading.shim.transport` says how they travel.

daemon → spawner   SpawnRequest, with the shim's end of a new socketpair
spawner → daemon   SpawnReply
shim → daemon      an Event; a Reply or Refusal to a request
daemon → shim      a Request; its `seq` is repeated by its Reply or Refusal
"""

from __future__ import annotations

import msgspec


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where a container's output is logged; made from Docker's options by `logfile.log_config`."""

    driver: str = "json-file"
    """`json-file`, `local` or `none`."""
    path: str = ""
    max_size: int = -1
    """Bytes after which the file is rotated; -1 for never."""
    max_file: int = 1
    """Files kept, the current one included."""
    compress: bool = False
    attrs: dict[str, str] = {}
    """Extra attributes (`labels`, `env`, `tag`) written into every line."""


class SpawnRequest(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Make a shim for the bundle, whose config.json is the OCI spec; it creates the container."""

    container_id: str
    bundle: str
    """The container's run directory: config.json, state.json, exit.json, steps.json, shim.sock."""
    open_stdin: bool = False
    stdin_once: bool = False
    log: LogConfig = LogConfig(driver="none")


class SpawnFailed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The spawner's answer if it could not fork; otherwise it is the shim that speaks."""

    container_id: str
    error: str


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A failure as it crosses the socket: one sentence, and what a program can go by."""

    message: str
    step: str = ""
    """The class name of the plan's step that failed."""
    errno: int = 0
    """The kernel's answer; 0 if it was not the kernel that refused."""
    status: int = 500
    """The HTTP status of the LadingError that it was."""


class ExitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended; also the content of exit.json."""

    exit_code: int
    """The exit status, or 128 + the signal that ended it."""
    oom_killed: bool = False
    finished_at: str = ""
    """RFC 3339 with nanoseconds, UTC."""
    error: str = ""


class ExecState(msgspec.Struct, frozen=True, kw_only=True):
    """An exec'd process as the shim knows it; `exit_code` is None while it runs."""

    exec_id: str
    pid: int
    exit_code: int | None = None


class Hello(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The shim's first message on a connection made through shim.sock."""

    container_id: str
    shim_pid: int
    pid: int
    """The container's PID 1 as the host sees it; 0 before it exists."""
    started: bool
    paused: bool
    execs: list[ExecState] = []
    exit: ExitStatus | None = None


class Created(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The namespaces exist and `pid` is in them: the network can be configured from now on."""

    pid: int
    shim_pid: int


class Ready(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The container is created and waits for `Start`."""


class Failed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The creation failed and was undone; the shim ends."""

    error: ErrorInfo


class OutOfMemory(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The kernel killed a process of the container for lack of memory."""


class Exited(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """PID 1 ended, its output is in the log and exit.json is written."""

    status: ExitStatus


class ExecExited(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """An exec'd process ended and its output was handed to its attached client."""

    exec_id: str
    exit_code: int


class AttachEnded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """An attached client is gone; `detached` tells that the detach keys did it."""

    attach_id: int
    detached: bool


class Reply(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A request was carried out; `value` is what the request's docstring says, or null."""

    seq: int
    value: msgspec.Raw = msgspec.Raw(b"null")


class Refusal(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A request could not be carried out."""

    seq: int
    error: ErrorInfo


class Start(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Let the created container's process run; the reply comes when it has been executed."""

    seq: int = 0


class Signal(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Send a signal to PID 1, to an exec'd process, or (`everyone`) to all of the container."""

    signo: int
    everyone: bool = False
    exec_id: str = ""
    seq: int = 0


class Resize(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Set a terminal's size in character cells: the container's, or an exec'd process's."""

    height: int
    width: int
    exec_id: str = ""
    seq: int = 0


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """What an attached client wants; `detach_keys` are raw bytes, honoured on terminals only."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    detach_keys: bytes = b""


class Attach(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Connect the passed stream socket to the container's stdio; the value is `seq`.

    The attachment is known by this number from now on (`AttachEnded.attach_id`).
    """

    streams: Streams
    seq: int = 0


class Exec(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Run an OCI process in the container, its stdio on the passed socket, if any.

    The value is its pid; the attachment is known by `seq`, as for `Attach`.
    """

    exec_id: str
    process: msgspec.Raw
    streams: Streams = Streams()
    seq: int = 0


class Pause(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Freeze every process of the container."""

    seq: int = 0


class Resume(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Thaw the container."""

    seq: int = 0


class Update(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Apply OCI `linux.resources` to the running container; the value lists warnings."""

    resources: msgspec.Raw
    seq: int = 0


class Pids(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """List the container's processes; the value is an array of host pids."""

    seq: int = 0


class Quit(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The exit status was noted: the shim ends as soon as its clients have been served.

    The reply comes when the cgroup is gone and the hooks have run, so that the container can be
    started again. Before `Start` it means: undo the creation and end.
    """

    seq: int = 0


Request = Start | Signal | Resize | Attach | Exec | Pause | Resume | Update | Pids | Quit
Event = Hello | Created | Ready | Failed | OutOfMemory | Exited | ExecExited | AttachEnded
ShimMessage = Event | Reply | Refusal
