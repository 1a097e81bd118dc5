"""What the spawner does once, so that no shim has to: imports, and what can be found out before."""

from __future__ import annotations

from lading.kernel import cgroups
from lading.oci import defaults, plan, spec, warmup
from lading.shim import standby, title

__all__ = ["standby", "title", "warm"]

REHEARSALS = 10
"""After about eight runs the interpreter has specialised its code (PEP 659)."""


def warm() -> None:
    """Prepare what the OCI layer needs; the imports above have done the shim's own part.

    The rehearsals have the code rewritten by the interpreter here: where it happens in a forked
    process, that process has to copy the memory that the code is in.
    """
    warmup.warm()
    hierarchy = cgroups.detect()
    for _ in range(REHEARSALS):
        example = spec.decode(spec.encode(defaults.spec("/")))
        plan.plan(example, container_id="rehearsal", bundle="/", hierarchy=hierarchy)
