"""Cleaning up after a shim that was killed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from lading.errors import Conflict, NotFound
from lading.shim import files
from lading.shim.moments import now
from lading.shim.protocol import ExitStatus
from lading.shim.remote import connected

if TYPE_CHECKING:
    from pathlib import Path

KILLED = 137


async def abandon(bundle: Path) -> ExitStatus:
    """Clean up after a shim that was killed, or after a restart of the machine.

    Ends the container's processes, removes its cgroup and state, and writes exit.json with exit
    code 137, unless the shim had got that far. Raises Conflict if the shim lives.
    """
    return await asyncio.to_thread(_abandon, bundle)


def _abandon(bundle: Path) -> ExitStatus:
    from lading.oci.managed import Container

    sock = connected(bundle)
    if sock is not None:
        sock.close()
        raise Conflict(f"the shim of {bundle} is at work")
    with suppress(NotFound):
        Container.load(bundle).delete(force=True)
    status = files.read_exit(str(bundle))
    if status is None:
        error = "the shim of the container was killed"
        status = ExitStatus(exit_code=KILLED, finished_at=now(), error=error)
        files.write(str(bundle), files.EXIT_NAME, status)
    return status
