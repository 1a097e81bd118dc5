"""What the spawner does once, so that no shim has to: imports, and what can be found out before."""

from __future__ import annotations

from lading.kernel import cgroups
from lading.oci import defaults, plan, spec, warmup

REHEARSALS = 10
"""After about eight runs the interpreter has specialised its code (PEP 659)."""


def warm() -> None:
    """Prepare what the OCI layer needs; the imports above have done the shim's own part.

    The rehearsals have the code rewritten by the interpreter here: where it happens in a forked
    process, that process has to copy the memory that the code is in.
    """
    warmup.warm()
    for _ in range(REHEARSALS):
        rehearse()


def rehearse() -> None:
    """Plan a start that nobody asked for.

    A process that has been forked copies the memory that this takes as it goes; done in one that
    waits, the start to come is a millisecond or two shorter.
    """
    example = spec.decode(spec.encode(defaults.spec("/")))
    plan.plan(example, container_id="rehearsal", bundle="/", hierarchy=cgroups.detect())
