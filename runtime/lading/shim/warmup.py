"""What the spawner does once, so that no shim has to: imports, and what can be found out before."""

from __future__ import annotations

from lading.oci import warmup
from lading.shim import standby, title

__all__ = ["standby", "title", "warm"]


def warm() -> None:
    """Prepare what the OCI layer needs; the imports above have done the shim's own part."""
    warmup.warm()
