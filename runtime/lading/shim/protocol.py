"""The messages between daemon, spawner and shim, and how they travel.

Both connections are SOCK_SEQPACKET: one packet, one message, as JSON with a `type` tag. Descriptors ride along by
SCM_RIGHTS. A message that would not fit a packet (an exec with a large environment) travels in a memfd instead, which is
then the packet's last descriptor and announced by its first byte.

    daemon → spawner   SpawnRequest [the shim's end of a new socketpair]
    spawner → daemon   SpawnReply
    shim → daemon      Hello, Created, Ready, Failed, Exited, ExecExited, AttachEnded; Reply and Refusal to a request
    daemon → shim      every other class here; each carries `seq`, which its Reply or Refusal repeats
"""

from __future__ import annotations

import msgspec


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where a container's output is logged: see `lading.shim.logfile`, whose `log_config` makes it from Docker's options."""

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
    """Make a shim for the bundle, whose `config.json` is the OCI spec; the shim creates the container at once."""

    container_id: str
    bundle: str
    """The container's run directory: config.json, state.json, exit.json, steps.json and shim.sock are in it."""
    open_stdin: bool = False
    stdin_once: bool = False
    log: LogConfig = LogConfig(driver="none")
    seq: int = 0


class SpawnReply(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The spawner's answer: the shim's pid, or why there is none."""

    seq: int
    shim_pid: int = 0
    error: str = ""


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A failure as it crosses the socket: the step that failed, the kernel's errno (0: none) and one sentence."""

    message: str
    step: str = ""
    errno: int = 0
    status: int = 500
    """The HTTP status of the LadingError it was, if it was one."""


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
    """The container's namespaces exist and `pid` is in them: the network can be configured from now on."""

    pid: int


class Ready(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The container is created and waits for `Start`."""


class Failed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The creation failed and was undone; the shim ends."""

    error: ErrorInfo


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
    """A request was carried out; `value` is what its docstring says, or null."""

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
    """Send a signal to PID 1, or to an exec'd process, or (`everyone`) to all processes of the container."""

    signo: int
    everyone: bool = False
    exec_id: str = ""
    seq: int = 0


class Resize(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Set the terminal's size in character cells, of the container or of an exec'd process."""

    height: int
    width: int
    exec_id: str = ""
    seq: int = 0


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """What an attached client wants; `detach_keys` (raw bytes, e.g. 10 11 hex) are honoured on a terminal only."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    detach_keys: bytes = b""


class Attach(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Connect the passed stream socket to the container's stdio; the value is the attachment's number."""

    streams: Streams
    seq: int = 0


class Exec(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Run another process in the container (an OCI `process`), its stdio on the passed socket, if any; the value is its pid."""

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
    """Apply OCI `linux.resources` to the running container's cgroup."""

    resources: msgspec.Raw
    seq: int = 0


class Pids(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """List the container's processes; the value is an array of host pids."""

    seq: int = 0


class Stats(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Read the cgroup's counters; the value is a `lading.kernel.cgroups` Stats."""

    seq: int = 0


class Quit(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The exit status was taken note of: the shim may end as soon as its clients have been served.

    Before PID 1 was started it means: undo the creation and end.
    """

    seq: int = 0


Request = Start | Signal | Resize | Attach | Exec | Pause | Resume | Update | Pids | Stats | Quit
Event = Hello | Created | Ready | Failed | Exited | ExecExited | AttachEnded
ShimMessage = Event | Reply | Refusal
