"""What this runtime can do: the OCI features document.

Source: OCI runtime-spec 1.2, features.md and features-linux.md.
"""

from __future__ import annotations

import os
from typing import Any

from lading import __version__
from lading.kernel import capabilities, cgroups, seccomp
from lading.kernel.namespaces import Namespace
from lading.oci import mount_options
from lading.oci.spec import OCI_VERSION

HOOKS = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)
_SECCOMP_ARCHITECTURES = tuple(
    f"SCMP_ARCH_{name}"
    for name in (
        "AARCH64",
        "ARM",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PPC",
        "PPC64",
        "PPC64LE",
        "RISCV64",
        "S390",
        "S390X",
        "X32",
        "X86",
        "X86_64",
    )
)
"""Those that pyseccomp knows; it is not imported for this list, which would load libseccomp."""


def document() -> dict[str, Any]:
    """Build the document. Looks at the kernel for what depends on it."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": list(HOOKS),
        "mountOptions": mount_options.SUPPORTED,
        "linux": {
            "namespaces": _namespaces(),
            "capabilities": capabilities.to_names(capabilities.supported()),
            "cgroup": _cgroup(),
            "seccomp": {
                "enabled": True,
                "actions": sorted(set(seccomp.ACTIONS) - {"SCMP_ACT_NOTIFY"}),
                "operators": sorted(seccomp.OPERATORS),
                "archs": list(_SECCOMP_ARCHITECTURES),
                "knownFlags": sorted(seccomp.FLAGS),
                "supportedFlags": sorted(seccomp.FLAGS),
            },
            "apparmor": {"enabled": os.path.isdir("/sys/kernel/security/apparmor")},
            "selinux": {"enabled": os.path.isdir("/sys/fs/selinux")},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": False},
        },
        "annotations": {"io.lading.version": __version__},
        "potentiallyUnsafeConfigAnnotations": [],
    }


def _namespaces() -> list[str]:
    return sorted(kind.value for kind in Namespace if os.path.exists(f"/proc/self/ns/{kind.file}"))


def _cgroup() -> dict[str, bool]:
    found = cgroups.detect()
    return {
        "v1": bool(found.mounts),
        "v2": found.unified is not None,
        "systemd": False,
        "systemdUser": False,
        "rdma": False,
    }
