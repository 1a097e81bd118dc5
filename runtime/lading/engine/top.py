"""A container's processes, as ps(1) tells of them: read from /proc, in the columns asked for."""

from __future__ import annotations

import os
import pwd
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lading.errors import InvalidParameter

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEMORY = os.sysconf("SC_PHYS_PAGES") * _PAGE


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a container: column titles and rows."""

    titles: list[str]
    rows: list[list[str]]


@dataclass(slots=True)
class _Process:
    """One process as /proc has it; times in seconds, sizes in bytes."""

    pid: int
    ppid: int
    pgrp: int
    session: int
    state: str
    tty: int
    foreground: int
    user_time: float
    system_time: float
    nice: int
    threads: int
    started: float
    virtual: int
    resident: int
    uid: int
    gid: int
    name: str
    command: list[str]
    now: float

    @property
    def cpu_time(self) -> float:
        """Seconds of CPU time used."""
        return self.user_time + self.system_time

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return max(self.now - self.started, 0.0)


def processes(pids: Iterable[int], arguments: str) -> Processes:
    """List these processes in the form that ps has for `arguments` (`-ef` if empty).

    Understood are -ef, -eF, -el, aux, axu, u and -o/-eo with a list of columns. Raises
    InvalidParameter for others.
    """
    columns = _columns(arguments or "-ef")
    rows = []
    for pid in pids:
        process = _read(pid)
        if process is not None:
            rows.append([column.show(process) for column in columns])
    return Processes([column.title for column in columns], rows)


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    show: Callable[[_Process], str]


def _read(pid: int) -> _Process | None:
    """Read a process; None if it has ended."""
    base = Path("/proc", str(pid))
    try:
        stat = (base / "stat").read_text(errors="replace")
        ids = os.stat(base)
        raw = (base / "cmdline").read_bytes()
    except OSError:
        return None
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat[stat.rindex(")") + 2 :].split()
    number = [int(field) if field.lstrip("-").isdecimal() else 0 for field in fields]
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return _Process(
        pid=pid,
        ppid=number[1],
        pgrp=number[2],
        session=number[3],
        state=fields[0],
        tty=number[4],
        foreground=number[5],
        user_time=number[11] / _TICKS,
        system_time=number[12] / _TICKS,
        nice=number[16],
        threads=number[17],
        started=number[19] / _TICKS,
        virtual=number[20],
        resident=number[21] * _PAGE,
        uid=ids.st_uid,
        gid=ids.st_gid,
        name=name,
        command=[word.decode(errors="replace") for word in raw.split(b"\0") if word],
        now=now,
    )


def _user(process: _Process) -> str:
    try:
        name = pwd.getpwuid(process.uid).pw_name
    except KeyError:
        return str(process.uid)
    return name if len(name) <= 8 else name[:7] + "+"


def _command(process: _Process) -> str:
    return " ".join(process.command) if process.command else f"[{process.name}]"


def _terminal(process: _Process) -> str:
    major, minor = os.major(process.tty), os.minor(process.tty)
    if not process.tty:
        return "?"
    return f"pts/{minor + (major - 136) * 256}" if 136 <= major <= 143 else f"tty{minor}"


def _start(process: _Process) -> str:
    """Write when a process started: the time of day, or the date for earlier days."""
    moment = time.time() - process.elapsed
    today = time.localtime()
    begun = time.localtime(moment)
    same_day = begun[:3] == today[:3]
    return time.strftime("%H:%M" if same_day else "%b%d", begun)


def _long_time(process: _Process) -> str:
    minutes, seconds = divmod(int(process.cpu_time), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def _short_time(process: _Process) -> str:
    minutes, seconds = divmod(int(process.cpu_time), 60)
    return f"{minutes}:{seconds:02}"


def _elapsed(process: _Process) -> str:
    minutes, seconds = divmod(int(process.elapsed), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    text = f"{minutes:02}:{seconds:02}"
    if days:
        return f"{days}-{hours:02}:{text}"
    return f"{hours:02}:{text}" if hours else text


def _cpu_share(process: _Process) -> float:
    return 100 * process.cpu_time / process.elapsed if process.elapsed else 0.0


def _status(process: _Process) -> str:
    """Write the state and its flags: session leader, several threads, in the foreground."""
    flags = "<" if process.nice < 0 else "N" if process.nice > 0 else ""
    flags += "s" if process.session == process.pid else ""
    flags += "l" if process.threads > 1 else ""
    flags += "+" if process.foreground == process.pgrp else ""
    return process.state + flags


def _known_columns() -> dict[str, _Column]:
    """Name the columns of `ps -o` with their titles."""
    plain: dict[str, tuple[str, Callable[[_Process], object]]] = {
        "pid": ("PID", lambda p: p.pid),
        "ppid": ("PPID", lambda p: p.ppid),
        "pgid": ("PGID", lambda p: p.pgrp),
        "sid": ("SID", lambda p: p.session),
        "uid": ("UID", lambda p: p.uid),
        "gid": ("GID", lambda p: p.gid),
        "user": ("USER", _user),
        "uname": ("USER", _user),
        "euser": ("EUSER", _user),
        "s": ("S", lambda p: p.state),
        "state": ("S", lambda p: p.state),
        "stat": ("STAT", _status),
        "tty": ("TT", _terminal),
        "tt": ("TT", _terminal),
        "tname": ("TTY", _terminal),
        "time": ("TIME", _long_time),
        "cputime": ("TIME", _long_time),
        "etime": ("ELAPSED", _elapsed),
        "etimes": ("ELAPSED", lambda p: int(p.elapsed)),
        "stime": ("STIME", _start),
        "start_time": ("START", _start),
        "c": ("C", lambda p: min(int(_cpu_share(p)), 99)),
        "pcpu": ("%CPU", lambda p: f"{_cpu_share(p):.1f}"),
        "%cpu": ("%CPU", lambda p: f"{_cpu_share(p):.1f}"),
        "pmem": ("%MEM", lambda p: f"{100 * p.resident / _MEMORY:.1f}"),
        "%mem": ("%MEM", lambda p: f"{100 * p.resident / _MEMORY:.1f}"),
        "vsz": ("VSZ", lambda p: p.virtual // 1024),
        "rss": ("RSS", lambda p: p.resident // 1024),
        "ni": ("NI", lambda p: p.nice),
        "nlwp": ("NLWP", lambda p: p.threads),
        "comm": ("COMMAND", lambda p: p.name),
        "ucmd": ("CMD", lambda p: p.name),
        "args": ("COMMAND", _command),
        "command": ("COMMAND", _command),
        "cmd": ("CMD", _command),
    }
    return {name: _column(title, show) for name, (title, show) in plain.items()}


def _column(title: str, show: Callable[[_Process], object]) -> _Column:
    return _Column(title, lambda process: str(show(process)))


_COLUMNS = _known_columns()

_FULL = (
    _column("UID", _user),
    *(_COLUMNS[name] for name in ("pid", "ppid", "c", "stime", "tname", "time", "cmd")),
)
_BSD_USER = (
    *(_COLUMNS[name] for name in ("user", "pid", "%cpu", "%mem", "vsz", "rss", "tname", "stat")),
    *(_COLUMNS["start_time"], _column("TIME", _short_time), _COLUMNS["args"]),
)
_SIMPLE = tuple(_COLUMNS[name] for name in ("pid", "tname", "time", "ucmd"))


def _columns(arguments: str) -> tuple[_Column, ...]:
    words = shlex.split(arguments)
    chosen: list[_Column] = []
    form: tuple[_Column, ...] = _SIMPLE
    while words:
        word = words.pop(0)
        if word == "--format" or (word.lstrip("-").endswith("o") and word != "-"):
            chosen += _listed(words.pop(0) if words else "", arguments)
        elif word.startswith("-o"):
            chosen += _listed(word[2:], arguments)
        elif set(word) <= set("-eAaxwf"):
            form = _FULL if "f" in word else form
        elif set(word) <= set("auxw"):
            form = _BSD_USER if "u" in word else form
        else:
            raise InvalidParameter(
                f"ps arguments {arguments!r} are not supported: use -ef, aux or -o with columns"
            )
    return tuple(chosen) or form


def _listed(text: str, arguments: str) -> list[_Column]:
    """Read a list of columns; `name=TITLE` gives one another title."""
    found = []
    for word in text.replace(" ", ",").split(","):
        name, equals, title = word.partition("=")
        column = _COLUMNS.get(name)
        if column is None:
            raise InvalidParameter(f"ps arguments {arguments!r}: unknown column {name!r}")
        found.append(_Column(title, column.show) if equals else column)
    return found
