"""`lading-oci`: the OCI runtime as a command, for containerd, Podman, dockerd, and people."""

from __future__ import annotations

from lading.oci.cli.main import main

__all__ = ["main"]
