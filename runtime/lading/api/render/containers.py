"""Containers as Docker's JSON: one line of a list, and everything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lading.api.render.durations import in_words
from lading.api.versions import Version
from lading.engine import times
from lading.engine.model import HealthStatus, Status, to_wire
from lading.errors import LadingError

if TYPE_CHECKING:
    from lading.engine.containers import Sizes
    from lading.engine.engine import Engine
    from lading.engine.model import Container, EndpointSettings, NetworkSettings, PortMap

DEFAULT_NETWORK = "bridge"
"""The network whose address the deprecated fields of NetworkSettings repeat."""

CONFIG_MAC_ADDRESS_UNTIL = Version(1, 44)
ANNOTATIONS_LISTED_SINCE = Version(1, 46)


def summary(
    engine: Engine, container: Container, sizes: Sizes | None, version: Version
) -> dict[str, Any]:
    """Return a container as `GET /containers/json` lists it (API definition ContainerSummary)."""
    shown: dict[str, Any] = {
        "Id": container.id,
        "Names": ["/" + container.name],
        "Image": _image_shown(engine, container),
        "ImageID": container.image_id,
        "Command": command(container),
        "Created": times.parsed(container.created) // 1_000_000_000,
        "Ports": ports(container.network_settings.ports),
    }
    if sizes is not None:
        shown |= {name: size for name, size in _sizes(sizes).items() if size}
    host_config: dict[str, Any] = {"NetworkMode": container.host_config.network_mode}
    if version >= ANNOTATIONS_LISTED_SINCE and container.host_config.annotations:
        host_config["Annotations"] = container.host_config.annotations
    shown |= {
        "Labels": container.config.labels or {},
        "State": str(container.state.status),
        "Status": status(container),
        "HostConfig": host_config,
        "NetworkSettings": {"Networks": networks(container.network_settings)},
        "Mounts": [
            to_wire(mount.point)
            for mount in sorted(container.mounts, key=lambda mount: mount.point.destination)
        ],
    }
    return shown


def details(
    engine: Engine, container: Container, sizes: Sizes | None, version: Version
) -> dict[str, Any]:
    """Return all of a container (API definition ContainerInspectResponse)."""
    shown: dict[str, Any] = {
        "Id": container.id,
        "Created": container.created,
        "Path": container.path,
        "Args": container.args,
        "State": container.state.shown(),
        "Image": container.image_id,
        "ResolvConfPath": container.resolv_conf_path,
        "HostnamePath": container.hostname_path,
        "HostsPath": container.hosts_path,
        "LogPath": container.log_path,
        "Name": "/" + container.name,
        "RestartCount": container.restart_count,
        "Driver": container.driver,
        "Platform": container.platform,
        "MountLabel": container.mount_label,
        "ProcessLabel": container.process_label,
        "AppArmorProfile": container.app_armor_profile,
        "ExecIDs": container.exec_ids or None,
        "HostConfig": to_wire(container.host_config),
        "GraphDriver": {
            "Data": engine.containers.graph_driver(container),
            "Name": container.driver,
        },
        "Mounts": [to_wire(mount.point) for mount in container.mounts],
        "Config": _config(container, version),
        "NetworkSettings": network_settings(container.network_settings),
    }
    return shown if sizes is None else shown | _sizes(sizes)


def _config(container: Container, version: Version) -> dict[str, Any]:
    shown: dict[str, Any] = to_wire(container.config)
    if version < CONFIG_MAC_ADDRESS_UNTIL:
        endpoint = _default_endpoint(container.network_settings)
        if endpoint is not None and endpoint.mac_address:
            shown["MacAddress"] = endpoint.mac_address
    return shown


def _sizes(sizes: Sizes) -> dict[str, int]:
    return {"SizeRw": sizes.rw, "SizeRootFs": sizes.root}


def _image_shown(engine: Engine, container: Container) -> str:
    """Name the image as the user did, or by ID when that name is another image's by now."""
    try:
        image = engine.images.get(container.config.image)
    except LadingError:
        return container.image_id
    return container.config.image if image.id == container.image_id else container.image_id


def command(container: Container) -> str:
    """Join a container's argument vector as `docker ps` shows it."""
    words = (f"'{word}'" if " " in word else word for word in container.args)
    return " ".join((container.path, *words))


def status(container: Container) -> str:
    """Say how a container is, as `docker ps` does: `Up 3 minutes (healthy)`, `Exited (0) …`."""
    state = container.state
    match state.status:
        case Status.CREATED:
            return "Created"
        case Status.DEAD:
            return "Dead"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.EXITED | Status.RESTARTING:
            word = "Exited" if state.status is Status.EXITED else "Restarting"
            return f"{word} ({state.exit_code}) {_since(state.finished_at)} ago"
        case Status.PAUSED:
            return f"Up {_since(state.started_at)} (Paused)"
        case _:
            return f"Up {_since(state.started_at)}{_health(container)}"


def _health(container: Container) -> str:
    health = container.state.health
    if health is None or health.status is HealthStatus.NONE:
        return ""
    if health.status is HealthStatus.STARTING:
        return " (health: starting)"
    return f" ({health.status})"


def _since(moment: str) -> str:
    return in_words((time.time_ns() - times.parsed(moment)) / 1e9)


def ports(published: PortMap) -> list[dict[str, Any]]:
    """Return ports as a list has them, one entry for each binding (API definition Port)."""
    shown: list[dict[str, Any]] = []
    for port, bindings in published.items():
        number, _, protocol = port.partition("/")
        entry = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        if not bindings:
            shown.append(entry)
        for binding in bindings or ():
            public = int(binding.host_port or 0)
            shown.append({"IP": binding.host_ip, "PublicPort": public} | entry)
    return shown


def networks(settings: NetworkSettings) -> dict[str, Any]:
    """Return a container's endpoints by the names of their networks."""
    return {name: to_wire(endpoint) for name, endpoint in settings.networks.items()}


def _default_endpoint(settings: NetworkSettings) -> EndpointSettings | None:
    return settings.networks.get(DEFAULT_NETWORK)


def network_settings(settings: NetworkSettings) -> dict[str, Any]:
    """Return NetworkSettings; addresses outside of `Networks` are those in the default network."""
    endpoint = _default_endpoint(settings)
    return {
        "Bridge": "",
        "SandboxID": settings.sandbox_id,
        "SandboxKey": settings.sandbox_key,
        "Ports": to_wire(settings.ports),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": endpoint.endpoint_id if endpoint else "",
        "Gateway": endpoint.gateway if endpoint else "",
        "GlobalIPv6Address": endpoint.global_ipv6_address if endpoint else "",
        "GlobalIPv6PrefixLen": endpoint.global_ipv6_prefix_len if endpoint else 0,
        "IPAddress": endpoint.ip_address if endpoint else "",
        "IPPrefixLen": endpoint.ip_prefix_len if endpoint else 0,
        "IPv6Gateway": endpoint.ipv6_gateway if endpoint else "",
        "MacAddress": endpoint.mac_address if endpoint else "",
        "Networks": networks(settings),
    }
