"""From Docker's container to OCI's: record and host facts in, runtime spec out.

`build` is pure: whoever calls it has looked up users, joined containers and mounted volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lading.engine import modes
from lading.engine.model import Container
from lading.engine.settings import Settings
from lading.engine.specs.devices import check_device_requests, device_nodes
from lading.engine.specs.mounts import MountPlan, mounts_of
from lading.engine.specs.namespaces import PidOf, namespaces
from lading.engine.specs.process import container_process
from lading.engine.specs.resources import linux_resources
from lading.engine.specs.seccomp import seccomp_filter
from lading.engine.specs.security import parse_security_options
from lading.engine.users import Identity
from lading.oci.spec import OCI_VERSION, Linux, Root, Spec


@dataclass(frozen=True, slots=True)
class SpecInputs:
    """What a spec is made of besides the record and the settings.

    `variables` come before the container's own environment.
    """

    identity: Identity
    mounts: MountPlan
    pid_of: PidOf
    variables: Sequence[str] = ()
    root: str = "rootfs"


def build(record: Container, settings: Settings, inputs: SpecInputs) -> Spec:
    """Give the OCI runtime spec of a container.

    Raises LadingError for what only shows here: unknown devices, a broken seccomp profile.
    """
    host = record.host_config
    check_device_requests(host)
    options = parse_security_options(host.security_opt)
    process = container_process(
        record,
        inputs.identity,
        no_new_privileges=settings.no_new_privileges,
        ulimits=settings.ulimits,
        init=bool(inputs.mounts.init_path),
        variables=inputs.variables,
    )
    bounding = process.capabilities.bounding if process.capabilities else []
    own_uts = host.uts_mode != modes.HOST
    return Spec(
        oci_version=OCI_VERSION,
        root=Root(path=inputs.root, readonly=host.readonly_rootfs),
        process=process,
        hostname=record.config.hostname if own_uts else "",
        domainname=record.config.domainname if own_uts else "",
        mounts=mounts_of(record, inputs.mounts),
        annotations=dict(host.annotations or {}),
        linux=Linux(
            namespaces=namespaces(host, inputs.pid_of),
            devices=device_nodes(host),
            resources=linux_resources(host, privileged=host.privileged),
            cgroups_path=cgroups_path(record, settings),
            sysctl=dict(host.sysctls or {}),
            masked_paths=list(host.masked_paths or ()),
            readonly_paths=list(host.readonly_paths or ()),
            seccomp=seccomp_filter(options.seccomp, bounding, privileged=host.privileged),
        ),
    )


def cgroups_path(record: Container, settings: Settings) -> str:
    """Give a container's cgroup: below CgroupParent, or the daemon's."""
    parent = record.host_config.cgroup_parent or settings.cgroup_parent
    return f"/{parent.strip('/')}/{record.id}"
