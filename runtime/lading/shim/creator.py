"""What a shim has another process do: create the container, or execute a process in it.

The creator is forked by the shim, carries out one plan, and ends. So the shim never waits for a
mount or a hook, and none of the memory that a plan takes stays with it. The processes made are
children of the shim, not of the creator.

    shim → creator   Create or Execute, with the process's three streams unless it has a terminal
    creator → shim   Cloned, then SetUp [terminal], then Running: a container
                     Executed [terminal]: a further process
                     Undone, at any point: nothing is left
    shim → creator   Begin; hanging up means that the container is not wanted any more
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lading.oci import container as oci
from lading.oci import spec as oci_spec
from lading.shim import files, transport
from lading.shim.failures import error_info, note, note_bug
from lading.shim.moments import rfc3339
from lading.shim.protocol import ErrorInfo, SpawnRequest

if TYPE_CHECKING:
    import socket

    from lading.oci.container import Created, Stdio


class Create(msgspec.Struct, tag=True, frozen=True):
    """Create the container of the request's bundle, and start it when told to."""

    request: SpawnRequest
    begun_ns: int
    """When the shim got the request, by the monotonic clock."""


class Execute(msgspec.Struct, tag=True, frozen=True):
    """Execute a further process (OCI's) in the container of the bundle."""

    bundle: str
    process: msgspec.Raw


class Cloned(msgspec.Struct, tag=True, frozen=True):
    """PID 1 exists, in its namespaces."""

    pid: int


class SetUp(msgspec.Struct, tag=True, frozen=True):
    """PID 1 waits for its start; the master side of its terminal comes along."""


class Running(msgspec.Struct, tag=True, frozen=True):
    """PID 1 executes its program."""


class Executed(msgspec.Struct, tag=True, frozen=True):
    """A further process executes its program; the master side of its terminal comes along."""

    pid: int


class Undone(msgspec.Struct, tag=True, frozen=True):
    """It could not be done, and nothing of it is left."""

    error: ErrorInfo


class Begin(msgspec.Struct, tag=True, frozen=True):
    """Let PID 1 run."""


Message = Cloned | SetUp | Running | Executed | Undone


def messages() -> transport.Reader[Message]:
    """Give the reader of the shim's end."""
    reader: transport.Reader[Message] = transport.Reader(Message)  # type: ignore[arg-type]
    return reader


def serve(link: socket.socket) -> None:
    """Do the job that comes over the link; none comes to a creator that was not needed."""
    reader: transport.Reader[Create | Execute] = transport.Reader(Create | Execute)  # type: ignore[arg-type]
    received = reader.receive(link)
    if received is None:
        return
    job, streams = received
    stdio = oci.Stdio(*streams) if streams else None
    match job:
        case Create():
            _create(job, stdio, link)
        case Execute():
            _execute(job, stdio, link)


def _create(job: Create, stdio: Stdio | None, link: socket.socket) -> None:
    request = job.request
    bundle = Path(request.bundle)
    try:
        created = oci.create(
            bundle,
            oci_spec.load(bundle),
            container_id=request.container_id,
            state_dir=bundle,
            stdio=stdio,
            sibling=True,
        )
        if not _is_wanted(created, link):
            created.abort()
            return
        created.start()
    except Exception as error:  # noqa: BLE001  # whatever it is, the shim must hear of it
        _give_up(link, request.bundle, error)
        return
    _send(link, Running())
    _write_steps(request.bundle, created, job.begun_ns)


def _is_wanted(created: Created, link: socket.socket) -> bool:
    """Tell how far PID 1 is, and wait for the start; False when the shim hangs up instead."""
    try:
        _send(link, Cloned(created.pid))
        _send(link, SetUp(), created.ready().terminal)
        return transport.Reader(Begin).receive(link) is not None
    except ConnectionError:
        return False


def _write_steps(bundle: str, created: Created, begun_ns: int) -> None:
    steps = files.Steps(
        steps=created.timings(),
        warnings=created.warnings,
        started_at=rfc3339(time.time_ns()),
        total_ns=time.monotonic_ns() - begun_ns,
    )
    try:
        files.write(bundle, files.STEPS_NAME, steps)
    except OSError as error:
        note(bundle, error)


def _execute(job: Execute, stdio: Stdio | None, link: socket.socket) -> None:
    try:
        executed = oci.exec_process(
            oci.Container.load(Path(job.bundle)),
            oci_spec.decode_process(job.process),
            stdio=stdio,
            sibling=True,
        )
    except Exception as error:  # noqa: BLE001  # as above
        _give_up(link, job.bundle, error)
        return
    _send(link, Executed(executed.pid), executed.terminal)


def killed() -> ErrorInfo:
    """Say that a creator ended without a word."""
    return ErrorInfo(message="the process that sets up the container's was killed")


def _give_up(link: socket.socket, bundle: str, error: Exception) -> None:
    note_bug(bundle, error)
    _send(link, Undone(error_info(error)))


def _send(link: socket.socket, message: Message, terminal: int | None = None) -> bool:
    """Tell the shim; False when it has hung up, whether it was killed or wants no more."""
    try:
        transport.Packet(message, [] if terminal is None else [terminal]).send(link)
    except OSError:
        return False
    finally:
        if terminal is not None:
            os.close(terminal)
    return True
