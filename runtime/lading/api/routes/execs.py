"""Execs: further processes in running containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.api.call import Call
from lading.api.hijack import (
    failure_text,
    relay,
    take_over,
    wants_upgrade,
)
from lading.api.responses import MULTIPLEXED, RAW, AlreadySent, empty, json_response
from lading.api.routes.container_io import MULTIPLEXED_SINCE, terminal_size
from lading.engine.model import ExecConfig, ExecStartConfig, to_wire
from lading.errors import LadingError

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

    from lading.engine.execs import Exec


async def container_exec(call: Call) -> StreamResponse:
    """ContainerExec: prepare a process."""
    config = await call.json(ExecConfig)
    return json_response({"Id": call.engine.execs.create(call.name, config)}, 201)


async def exec_start(call: Call) -> StreamResponse:
    """ExecStart: run it, with the connection as its standard streams unless `Detach`."""
    options = await call.json_or(ExecStartConfig, ExecStartConfig())
    prepared = call.engine.execs.get(call.name)
    if options.detach:
        await call.engine.execs.start(prepared.id, options)
        return empty(200)

    multiplexed = not prepared.config.tty
    typed = multiplexed and call.version >= MULTIPLEXED_SINCE and wants_upgrade(call.request)
    stream = take_over(call.request, MULTIPLEXED if typed else RAW)
    try:
        session = await call.engine.execs.start(prepared.id, options)
    except LadingError as error:
        await stream.write(failure_text(error.message, multiplexed=multiplexed))
        stream.close()
        return AlreadySent()
    assert session is not None, "a start that is not detached has a session"
    with_input = prepared.config.attach_stdin
    await relay(stream, session, with_input=with_input, ended=prepared.ended)
    return AlreadySent()


async def exec_resize(call: Call) -> StreamResponse:
    """ExecResize."""
    height, width = terminal_size(call)
    await call.engine.execs.resize(call.name, height, width)
    return empty(200)


async def exec_inspect(call: Call) -> StreamResponse:
    """ExecInspect."""
    return json_response(_details(call.engine.execs.get(call.name)))


def _details(found: Exec) -> dict[str, object]:
    config = found.config
    words = list(config.cmd or ())
    process = {
        "arguments": words[1:],
        "entrypoint": words[0] if words else "",
        "privileged": config.privileged,
        "tty": config.tty,
    }
    if config.user:
        process["user"] = config.user
    return {
        "ID": found.id,
        "Running": found.running,
        "ExitCode": found.exit_code,
        "ProcessConfig": to_wire(process),
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": found.can_remove,
        "ContainerID": found.container_id,
        "DetachKeys": "",
        "Pid": found.pid,
    }


HANDLERS = {
    "ContainerExec": container_exec,
    "ExecInspect": exec_inspect,
    "ExecResize": exec_resize,
    "ExecStart": exec_start,
}
