"""Networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import field

from lading.api.call import Call
from lading.api.render import networks as render
from lading.api.responses import empty, json_response
from lading.engine.model import EndpointSettings, Wire
from lading.errors import Forbidden, InvalidParameter, NotFound, NotImplementedYet
from lading.network.model import NetworkRequest, Pool

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse


class IPAMConfig(Wire):
    """One subnet that a request asks for."""

    subnet: str = ""
    ip_range: str = field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] = field(default_factory=dict)


class IPAM(Wire):
    """How a network's addresses are managed."""

    driver: str = ""
    config: list[IPAMConfig] = field(default_factory=list)
    options: dict[str, str] | None = None


class CreateRequest(Wire):
    """The body of NetworkCreate."""

    name: str = ""
    driver: str = ""
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: dict[str, Any] | None = None
    ipam: IPAM = field(default_factory=IPAM, name="IPAM")
    enable_ipv4: bool = field(default=True, name="EnableIPv4")
    enable_ipv6: bool = field(default=False, name="EnableIPv6")
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


class ConnectRequest(Wire):
    """The body of NetworkConnect."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


class DisconnectRequest(Wire):
    """The body of NetworkDisconnect."""

    container: str = ""
    force: bool = False


async def network_list(call: Call) -> StreamResponse:
    """NetworkList."""
    found = call.engine.networks.list(call.filters())
    return json_response([render.details(network) for network in found])


async def network_inspect(call: Call) -> StreamResponse:
    """NetworkInspect."""
    if call.text("scope", "local") not in ("", "local"):
        raise NotFound(f"network {call.name} not found")
    network = call.engine.networks.get(call.name)
    return json_response(render.details(network, call.engine.networks.endpoints(network)))


async def network_create(call: Call) -> StreamResponse:
    """NetworkCreate."""
    asked = await call.json(CreateRequest)
    _check(asked)
    network = call.engine.networks.create(
        NetworkRequest(
            name=asked.name,
            driver=asked.driver or "bridge",
            pools=tuple(
                Pool(pool.subnet, pool.gateway, pool.ip_range, pool.auxiliary_addresses)
                for pool in asked.ipam.config
            ),
            ipam_driver=asked.ipam.driver or "default",
            ipam_options=asked.ipam.options,
            enable_ipv4=asked.enable_ipv4,
            enable_ipv6=asked.enable_ipv6,
            internal=asked.internal,
            attachable=asked.attachable,
            options=asked.options,
            labels=asked.labels,
        )
    )
    return json_response({"Id": network.id, "Warning": ""}, 201)


def _check(asked: CreateRequest) -> None:
    """Refuse what belongs to a swarm, in Docker's words."""
    if asked.scope not in ("", "local"):
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    if asked.ingress:
        raise Forbidden("Ingress network can only be global scope network")
    if asked.config_only or (asked.config_from or {}).get("Network"):
        raise NotImplementedYet(
            "Lading has no configuration-only networks: give each network its own configuration"
        )


async def network_delete(call: Call) -> StreamResponse:
    """NetworkDelete."""
    call.engine.networks.remove(call.name)
    return empty()


async def network_connect(call: Call) -> StreamResponse:
    """NetworkConnect."""
    asked = await call.json(ConnectRequest)
    container = _container(call, asked.container)
    await call.engine.containers.connect_network(
        container, call.name, asked.endpoint_config or EndpointSettings()
    )
    return empty(200)


async def network_disconnect(call: Call) -> StreamResponse:
    """NetworkDisconnect."""
    asked = await call.json(DisconnectRequest)
    container = _container(call, asked.container)
    await call.engine.containers.disconnect_network(container, call.name, force=asked.force)
    return empty(200)


def _container(call: Call, ref: str) -> str:
    if not ref:
        raise InvalidParameter('invalid name or ID supplied: ""')
    return call.engine.containers.get(ref).id


async def network_prune(call: Call) -> StreamResponse:
    """NetworkPrune."""
    names = call.engine.networks.prune(call.filters())
    return json_response({"NetworksDeleted": names or None})


HANDLERS = {
    "NetworkConnect": network_connect,
    "NetworkCreate": network_create,
    "NetworkDelete": network_delete,
    "NetworkDisconnect": network_disconnect,
    "NetworkInspect": network_inspect,
    "NetworkList": network_list,
    "NetworkPrune": network_prune,
}
