"""Having everything in memory that a container start needs, before processes are forked for it."""

from __future__ import annotations

from importlib import import_module

from lading.kernel import cgroups

_LATER = (
    "encodings.ascii",
    "lading.kernel.cgroups.v1",
    "lading.kernel.cgroups.v2",
    "lading.oci.container",
)
"""What is imported late elsewhere, where not every command needs it."""


def warm() -> None:
    """Import all modules, make all decoders, and look at the host's cgroups.

    Without it every forked process would do that again, at more than 10 ms each.
    """
    for name in _LATER:
        import_module(name)
    from lading.oci import defaults, spec

    spec.decode(b'{"ociVersion": "1.2.0"}')
    spec.decode_process(b'{"cwd": "/"}')
    cgroups.detect()
    defaults.available_capabilities()
