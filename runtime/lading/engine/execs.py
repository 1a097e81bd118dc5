"""Further processes in running containers: `docker exec`, and the probes of health checks."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass, field

from lading.engine import detachkeys
from lading.engine.accounts import AccountBook
from lading.engine.announce import announce
from lading.engine.attach import CHUNK, Session, StreamSession, stream_pair
from lading.engine.background import Background
from lading.engine.events import EventBus
from lading.engine.failures import CannotStart, executing
from lading.engine.health import OUTPUT_LIMIT
from lading.engine.model import ExecConfig, ExecStartConfig, Status
from lading.engine.registry import Entry, Registry, not_running
from lading.engine.specs.process import exec_process
from lading.engine.users import Identity
from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.shim.client import Shim, ShimError
from lading.shim.protocol import Streams

KILL = 9
_HEADER = 8
"""Bytes of a frame's head in the multiplexed stream."""


@dataclass(slots=True)
class Exec:
    """An exec instance; `exit_code` is None until it ended, `pid` 0 until it started."""

    id: str
    container_id: str
    config: ExecConfig
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    can_remove: bool = False
    started: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when there is nothing more to tell the client: its end, or its having detached."""


@dataclass(slots=True)
class Execs:
    """The exec instances of an engine; they live as long as their container and the daemon."""

    registry: Registry
    events: EventBus
    accounts: AccountBook
    background: Background
    _known: dict[str, Exec] = field(default_factory=dict)

    def create(self, ref: str, config: ExecConfig) -> str:
        """Prepare a process in a running container; returns the exec's id.

        Raises Conflict unless the container runs, InvalidParameter for no command, unknown users
        and bad detach keys.
        """
        entry = self.registry.find(ref)
        _check_state(entry)
        if not config.cmd:
            raise InvalidParameter("No exec command specified")
        _detach_keys(config)
        self._identity(entry, config)
        return self._create(entry, config).id

    def _create(self, entry: Entry, config: ExecConfig) -> Exec:
        made = Exec(secrets.token_hex(32), entry.id, config)
        self._known[made.id] = made
        self._announce(entry, "exec_create", made)
        return made

    def get(self, exec_id: str) -> Exec:
        """Find an exec; raises NotFound `No such exec instance: x`."""
        found = self._known.get(exec_id)
        if found is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        return found

    async def start(self, exec_id: str, options: ExecStartConfig) -> Session | None:
        """Start it; gives its streams, or None when `options.detach`.

        Raises Conflict for one that was started, and Docker's words for what cannot be executed;
        the exec's exit code is 126 or 127 then.
        """
        found = self.get(exec_id)
        entry = self.registry.find(found.container_id)
        _check_state(entry)
        if found.started:
            raise Conflict(f"exec command {found.id} is already running")
        config = found.config
        if options.console_size:
            config.console_size = options.console_size
        if options.detach:
            await self._run(entry, found, None, Streams())
            return None
        streams = Streams(
            stdin=config.attach_stdin,
            stdout=config.attach_stdout,
            stderr=config.attach_stderr,
            detach_keys=_detach_keys(config),
        )
        ours, theirs = stream_pair()
        try:
            await self._run(entry, found, theirs, streams)
        except BaseException:
            ours.close()
            theirs.close()
            raise
        self.background.start(self._note_detach(entry, found))
        return StreamSession(ours, multiplexed=not config.tty)

    async def _run(
        self, entry: Entry, found: Exec, sock: socket.socket | None, streams: Streams
    ) -> tuple[Shim, asyncio.Task[None]]:
        """Execute the process; gives the shim, and the task that takes note of its end."""
        shim = entry.running_shim()
        found.started = found.running = True
        self._announce(entry, "exec_start", found)
        process = exec_process(entry.record, found.config, self._identity(entry, found.config))
        try:
            with executing():
                found.pid = await shim.exec(found.id, process, sock=sock, streams=streams)
        except CannotStart as error:
            found.running, found.exit_code = False, error.exit_code
            raise
        entry.record.exec_ids.append(found.id)
        return shim, self.background.start(self._watch(entry, shim, found))

    async def _watch(self, entry: Entry, shim: Shim, found: Exec) -> None:
        try:
            found.exit_code = await shim.exec_wait(found.id)
        except ShimError:
            # The shim ended with its container, which took the process along.
            found.exit_code = 128 + KILL
        found.running = False
        found.ended.set()
        if found.id in entry.record.exec_ids:
            entry.record.exec_ids.remove(found.id)
        self._announce(entry, "exec_die", found, exitCode=str(found.exit_code))

    async def _note_detach(self, entry: Entry, found: Exec) -> None:
        """Publish `exec_detach` if the client leaves by its detach keys, and let it go."""
        attachment = entry.shim.exec_attachment(found.id) if entry.shim is not None else None
        with contextlib.suppress(ShimError):
            if attachment is not None and await attachment.wait():
                announce(self.events, entry.record, "exec_detach", execID=found.id)
                found.ended.set()

    async def probe(self, entry: Entry, config: ExecConfig) -> ProbeRun:
        """Run a health check's command; see `lading.engine.health.Probe`."""
        found = self._create(entry, config)
        ours, theirs = stream_pair()
        try:
            streams = Streams(stdout=True, stderr=True)
            shim, watching = await self._run(entry, found, theirs, streams)
        except BaseException:
            ours.close()
            theirs.close()
            raise
        finally:
            del self._known[found.id]
        return ProbeRun(shim, found, watching, ours)

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of an exec's terminal in characters."""
        found = self.get(exec_id)
        shim = self.registry.find(found.container_id).running_shim()
        if not found.running:
            raise Conflict(f"exec {exec_id} is not running")
        if found.config.tty:
            await shim.exec_resize(found.id, height, width)

    def forget(self, entry: Entry) -> None:
        """Drop a removed container's execs, or those of a stopped one that never started."""
        for found in list(self._known.values()):
            if found.container_id == entry.id and (entry.removing or not found.started):
                del self._known[found.id]

    def _identity(self, entry: Entry, config: ExecConfig) -> Identity:
        """Look up who the process runs as, in the container as it is now."""
        record = entry.record
        accounts = self.accounts.of_running(record.state.pid)
        groups = record.host_config.group_add or ()
        return accounts.resolve(config.user or record.config.user, groups)

    def _announce(self, entry: Entry, action: str, found: Exec, **attributes: str) -> None:
        if action != "exec_die":
            words = list(found.config.cmd or ())
            action = f"{action}: {words[0]} {' '.join(words[1:])}"
        announce(self.events, entry.record, action, execID=found.id, **attributes)


class ProbeRun:
    """A probe that runs: its output is gathered up to what a health check keeps."""

    def __init__(
        self, shim: Shim, found: Exec, watching: asyncio.Task[None], sock: socket.socket
    ) -> None:
        self._shim = shim
        self._found = found
        self._watching = watching
        self._sock = sock
        self._raw = bytearray()

    async def finish(self) -> int:
        """Read the output to its end; gives the exit code, once the end was told."""
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._sock, CHUNK):
                if len(self._raw) < 4 * OUTPUT_LIMIT:
                    self._raw += data
            await asyncio.shield(self._watching)
        finally:
            self._sock.close()
        return self._found.exit_code or 0

    async def kill(self) -> None:
        """Send SIGKILL."""
        await self._shim.exec_signal(self._found.id, KILL)

    @property
    def output(self) -> bytes:
        """What the frames that came so far say."""
        gathered = bytearray()
        at = 0
        while at + _HEADER <= len(self._raw):
            size = int.from_bytes(self._raw[at + 4 : at + _HEADER], "big")
            at += _HEADER
            gathered += self._raw[at : at + size]
            at += size
        return bytes(gathered)


def _detach_keys(config: ExecConfig) -> bytes:
    """Read an exec's detach keys; raises LadingError in the words that Docker has for execs."""
    try:
        return detachkeys.parse(config.detach_keys)
    except InvalidParameter:
        raise LadingError(f"Invalid escape keys ({config.detach_keys}) provided") from None


def _check_state(entry: Entry) -> None:
    state = entry.state
    if state.status is Status.PAUSED:
        raise Conflict(f"Container {entry.id} is paused, unpause the container before exec")
    if state.status is Status.RESTARTING:
        raise Conflict(f"Container {entry.id} is restarting, wait until the container is running")
    if not state.running:
        raise not_running(entry)
