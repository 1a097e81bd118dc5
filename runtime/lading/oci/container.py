"""The life of one container on a bundle: create, start, signal, delete, and exec in it.

A shim and `lading-oci` both do it so:

    created = create(bundle, spec, container_id=…, state_dir=…, stdio=Stdio(0, 1, 2))
    created.pid, created.pidfd          # the namespaces exist: a network may be set up from now on
    terminal = created.ready().terminal # blocks; or call it once `created` polls readable
    created.start()                     # returns when execve(2) is called
    …
    created.container.delete()          # after the caller, whose child it is, has reaped the pid

The caller has one thread, and PID 1 of the container is its child. Every failure is a
`StepFailed` that names the plan's step and what the kernel said; what was done is undone then.
"""

from __future__ import annotations

from lading.oci.creation import Created, Readiness, Stdio, create
from lading.oci.execing import Executed, exec_process
from lading.oci.managed import Container
from lading.oci.steps.base import StepFailed, Timing

__all__ = [
    "Container",
    "Created",
    "Executed",
    "Readiness",
    "Stdio",
    "StepFailed",
    "Timing",
    "create",
    "exec_process",
]
