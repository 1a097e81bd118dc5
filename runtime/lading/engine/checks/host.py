"""Checks of a HostConfig, apart from limits and mounts."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from lading.engine import modes
from lading.engine.ports import check_bindings
from lading.errors import InvalidParameter
from lading.kernel import capabilities

if TYPE_CHECKING:
    from lading.engine.model import ContainerConfig, HostConfig, RestartPolicy

RUNTIMES = frozenset({"", "lading", "runc", "io.containerd.runc.v2"})
"""Names of runtimes that are taken for this one: clients that name Docker's default work."""

_UNDEFINED = "This would result in undefined behavior"


def check_host_config(host: HostConfig, config: ContainerConfig | None) -> list[str]:
    """Check everything that needs neither the host's limits nor other containers.

    Gives warnings; raises InvalidParameter in Docker's words.
    """
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")
    _check_extra_hosts(host)
    check_bindings(host.port_bindings)
    check_restart_policy(host.restart_policy)
    check_capabilities(host)
    _check_scalars(host)
    if config is not None:
        check_network_mode(host, config)
    _check_namespace_modes(host)
    if host.network_mode == modes.HOST and host.port_bindings:
        return ["Published ports are discarded when using host network mode"]
    return []


def check_restart_policy(policy: RestartPolicy) -> None:
    """Check a restart policy; raises InvalidParameter."""
    match policy.name:
        case "on-failure":
            if policy.maximum_retry_count < 0:
                raise InvalidParameter(
                    "invalid restart policy: maximum retry count cannot be negative"
                )
        case "" | "no" | "always" | "unless-stopped":
            if policy.maximum_retry_count > 0:
                raise InvalidParameter(
                    "invalid restart policy: maximum retry count can only be used with 'on-failure'"
                )
            if policy.maximum_retry_count < 0:
                raise InvalidParameter(
                    "invalid restart policy: maximum retry count can only be used with "
                    "'on-failure' and cannot be negative"
                )
        case _:
            raise InvalidParameter(
                f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', "
                "'always', 'on-failure', or 'unless-stopped'"
            )


def _check_extra_hosts(host: HostConfig) -> None:
    for entry in host.extra_hosts or ():
        name, address = split_extra_host(entry)
        if not name or not address:
            raise InvalidParameter(f'bad format for add-host: "{entry}"')
        if address == "host-gateway":
            continue
        try:
            ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            raise InvalidParameter(f'invalid IP address in add-host: "{address}"') from None


def split_extra_host(entry: str) -> tuple[str, str]:
    """Split `name:address` or `name=address`."""
    name, equals, address = entry.partition("=")
    if not equals:
        name, _, address = entry.partition(":")
    return name, address


def check_capabilities(host: HostConfig) -> None:
    """Check the names in CapAdd and CapDrop; raises InvalidParameter."""
    for names, field in ((host.cap_add, "CapAdd"), (host.cap_drop, "CapDrop")):
        for name in names or ():
            if normal_capability(name) is None:
                raise InvalidParameter(f'invalid {field}: unknown capability: "{full_name(name)}"')


def normal_capability(name: str) -> str | None:
    """Give a capability's full name (`CAP_CHOWN` for `chown`), `ALL`, or None if unknown."""
    upper = name.strip().upper()
    if upper in ("ALL", "CAP_ALL"):
        return "ALL"
    full = full_name(upper)
    return full if full in capabilities.BITS else None


def full_name(name: str) -> str:
    """Write a capability's name in full and in capitals, whether it exists or not."""
    upper = name.strip().upper()
    return upper if upper.startswith("CAP_") else "CAP_" + upper


def _check_scalars(host: HostConfig) -> None:
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(
            f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    if host.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    if host.isolation not in ("", "default"):
        raise InvalidParameter(
            f"invalid isolation ({host.isolation}): linux only supports 'default'"
        )
    if host.runtime not in RUNTIMES:
        raise InvalidParameter(f"unknown or invalid runtime name: {host.runtime}")
    if "" in (host.annotations or {}):
        raise InvalidParameter(
            "invalid Annotations: the empty string is not permitted as an annotation key"
        )


def check_network_mode(host: HostConfig, config: ContainerConfig) -> None:
    """Refuse options that contradict a network mode; raises InvalidParameter."""
    mode = host.network_mode
    joins = modes.container_of(mode) is not None
    if joins and not modes.container_of(mode):
        raise InvalidParameter("invalid network mode: invalid container format container:<name|id>")
    if mode == modes.HOST and host.links:
        raise InvalidParameter(
            f"conflicting options: host type networking can't be used with links. {_UNDEFINED}"
        )
    if (joins or host.uts_mode == modes.HOST) and config.hostname:
        other = "network" if joins else "UTS"
        raise InvalidParameter(f"conflicting options: hostname and the {other} mode")
    if not joins:
        return
    _check_joined_network(host, config)


def _check_joined_network(host: HostConfig, config: ContainerConfig) -> None:
    published = host.port_bindings or host.publish_all_ports
    for given, what in (
        (host.links, f"container type network can't be used with links. {_UNDEFINED}"),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (published, "port publishing and the container type network mode"),
        (config.exposed_ports, "port exposing and the container type network mode"),
    ):
        if given:
            raise InvalidParameter(f"conflicting options: {what}")


def _check_namespace_modes(host: HostConfig) -> None:
    for value, allowed, what in (
        (host.pid_mode, ("", modes.HOST), "PID"),
        (host.ipc_mode, ("", modes.NONE, modes.HOST, modes.PRIVATE, modes.SHAREABLE), "IPC"),
        (host.uts_mode, ("", modes.HOST), "UTS"),
        (host.cgroupns_mode, ("", modes.HOST, modes.PRIVATE), "cgroup namespace"),
    ):
        joins = what in ("PID", "IPC") and modes.container_of(value)
        if value not in allowed and not joins:
            raise InvalidParameter(f"invalid {what} mode: {value}")
