"""The daemon's side of the spawner and the shims, on asyncio.

A start, as the engine does it:

    shim = await spawner.spawn(SpawnRequest(container_id=…, bundle=…, log=…))
    await network.connect(shim.pid)      # its namespaces exist; the shim goes on meanwhile
    await shim.ready()                   # StepFailed names the step
    await shim.attach(sock, Streams(stdout=True))  # before the start: no byte is missed
    await shim.start()                   # StepFailed, e.g. errno ENOENT of execve
    status = await shim.wait()
    await shim.quit()                    # its cgroup is gone now

The attached sockets are stream sockets. Without a terminal the shim writes Docker's multiplexed
format to them, with a terminal the raw bytes. Give the shim one end of a socketpair and relay, or
the client's own connection: it owns the descriptor. The shim looks for the detach keys, too, on
terminals only, as Docker does; `Attachment.wait` tells if they ended it.

Shims outlive the daemon: `Shim.reconnect` finds one again, or how its container ended.
"""

from __future__ import annotations

from lading.oci.steps.base import StepFailed
from lading.shim.abandoned import abandon
from lading.shim.link import Attachment, ShimError, ShimLost
from lading.shim.remote import Gone, Shim
from lading.shim.spawning import Spawner

__all__ = [
    "Attachment",
    "Gone",
    "Shim",
    "ShimError",
    "ShimLost",
    "Spawner",
    "StepFailed",
    "abandon",
]
