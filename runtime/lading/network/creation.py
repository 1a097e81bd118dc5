"""From a request for a network to the network: checks, defaults, subnets, names."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from ipaddress import ip_interface, ip_network

from lading.errors import Conflict, Forbidden, InvalidParameter, NotFound
from lading.network import ipam
from lading.network.ipam import Subnet
from lading.network.model import (
    BRIDGE,
    HOST,
    NONE,
    PREDEFINED,
    Network,
    NetworkOptions,
    NetworkRequest,
    Pool,
)

_PREFIX = "com.docker.network."
NAME = f"{_PREFIX}bridge.name"
ICC = f"{_PREFIX}bridge.enable_icc"
MASQUERADE = f"{_PREFIX}bridge.enable_ip_masquerade"
BINDING = f"{_PREFIX}bridge.host_binding_ipv4"
MTU = f"{_PREFIX}driver.mtu"
INTERFACE_PREFIX = f"{_PREFIX}container_iface_prefix"
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_LONGEST_INTERFACE_NAME = 15


def new_id() -> str:
    """Make an id: 64 hexadecimal digits."""
    return os.urandom(32).hex()


def timestamp() -> str:
    """Give the time now as RFC 3339 in UTC with nanoseconds, as Docker writes it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    fraction = f"{nanoseconds:09d}".rstrip("0")
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{fraction}Z" if fraction else f"{moment}Z"


def boolean(options: dict[str, str], key: str, default: bool) -> bool:
    """Read an option that is true or false. Raises InvalidParameter as Docker does."""
    text = options.get(key)
    if text is None:
        return default
    if text not in _BOOLEANS:
        reason = f'strconv.ParseBool: parsing "{text}": invalid syntax'
        raise InvalidParameter(f"failed to parse {key} value: {text} ({reason})")
    return _BOOLEANS[text]


def check(request: NetworkRequest, networks: Collection[Network]) -> None:
    """Check what can be told before subnets are chosen. Raises in Docker's words."""
    if not request.name.strip():
        raise InvalidParameter("invalid name: name is empty")
    if request.name in PREDEFINED:
        shown = f"{request.name} network"
        raise Forbidden(f"operation is not permitted on predefined {shown}")
    if any(network.name == request.name for network in networks):
        raise Conflict(f"network with name {request.name} already exists")
    if request.driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{request.driver}" network is allowed')
    if request.driver != "bridge":
        raise NotFound(f'plugin "{request.driver}" not found')
    if request.ipam_driver not in ("", "default"):
        raise NotFound(f'plugin "{request.ipam_driver}" not found')
    if not (request.enable_ipv4 or request.enable_ipv6):
        raise InvalidParameter("IPv4 or IPv6 must be enabled")
    for pool in request.pools:
        ipam.check_pool(pool)
    for key in (ICC, MASQUERADE):
        boolean(request.options, key, default=True)
    mtu_of(request.options, 0)
    _check_bridge(request.options.get(NAME, ""), networks)


def mtu_of(options: dict[str, str], default: int) -> int:
    """Read the MTU option. Raises InvalidParameter as Docker does."""
    text = options.get(MTU)
    if text is None:
        return default
    if not text.isdecimal():
        reason = f'strconv.Atoi: parsing "{text}": invalid syntax'
        raise InvalidParameter(f"failed to parse {MTU} value: {text} ({reason})")
    return int(text)


def build(
    request: NetworkRequest,
    networks: Sequence[Network],
    pools: Sequence[tuple[str, int]],
    taken: Sequence[Subnet],
    mtu: int,
) -> Network:
    """Make the network that *request* (checked before) asks for.

    *pools* are where subnets come from, *taken* the destinations that the host has routes to.
    Raises Forbidden when a given subnet overlaps another network's, LadingError when no subnet is
    left.
    """
    used = subnets(networks)
    chosen: list[Pool] = []
    shown: list[Pool] = list(request.pools)
    for version, enabled in ((4, request.enable_ipv4), (6, request.enable_ipv6)):
        given = [p for p in request.pools if ip_network(p.subnet).version == version]
        if len(given) > 1:
            raise Forbidden("bridge driver doesn't support multiple subnets")
        if not enabled:
            continue
        if given:
            if any(ipam.overlaps(ip_network(given[0].subnet), other) for other in used):
                reason = "Pool overlaps with other one on this address space"
                raise Forbidden(f"invalid pool request: {reason}")
            chosen.append(ipam.with_gateway(given[0]))
            continue
        subnet = ipam.choose_subnet(pools, version, [*used, *taken])
        automatic = ipam.with_gateway(Pool(str(subnet)))
        chosen.append(automatic)
        shown.append(automatic)
    network_id = new_id()
    return Network(
        id=network_id,
        name=request.name,
        driver="bridge",
        created=timestamp(),
        pools=tuple(chosen),
        shown_pools=tuple(shown),
        ipam_options=request.ipam_options,
        enable_ipv4=request.enable_ipv4,
        enable_ipv6=request.enable_ipv6,
        internal=request.internal,
        attachable=request.attachable,
        options=request.options,
        labels=request.labels,
        bridge=request.options.get(NAME) or f"ladbr-{network_id[:9]}",
        mtu=mtu_of(request.options, mtu),
    )


def subnets(networks: Collection[Network]) -> list[Subnet]:
    """Give the subnets of *networks*."""
    return [ip_network(pool.subnet) for network in networks for pool in network.pools]


def predefined(name: str) -> Network:
    """Make the network `host` or `none`."""
    driver = {HOST: "host", NONE: "null"}[name]
    return Network(id=new_id(), name=name, driver=driver, created=timestamp())


def default_bridge(
    options: NetworkOptions,
    earlier: Network | None,
    existing: Sequence[str],
    taken: Sequence[Subnet],
) -> Network:
    """Make the network `bridge`, or renew *earlier* with the daemon's *options*.

    Its subnet is that of --bip, else the earlier one if no route is in the way, else that of a
    bridge which is there already (*existing*: its addresses), else the first free of the pools.
    """
    pool, adopted = _default_pool(options, earlier, existing, taken)
    settings = {
        f"{_PREFIX}bridge.default_bridge": "true",
        ICC: "true" if options.icc else "false",
        MASQUERADE: "true" if options.ip_masquerade else "false",
        BINDING: options.publish_ip or "0.0.0.0",
        NAME: options.bridge,
        MTU: str(options.mtu),
    }
    return Network(
        id=earlier.id if earlier else new_id(),
        name=BRIDGE,
        driver="bridge",
        created=earlier.created if earlier else timestamp(),
        pools=(pool,),
        shown_pools=(pool,),
        options=settings,
        bridge=options.bridge,
        adopted=adopted,
        mtu=options.mtu,
    )


def ipv6_pool(seed: str) -> tuple[str, int]:
    """Give the pool of this daemon's own IPv6 subnets: a unique local /48 told by *seed*.

    Source: RFC 4193, section 3.2.
    """
    digits = f"fd{seed[:10]}"
    return f"{digits[:4]}:{digits[4:8]}:{digits[8:12]}::/48", 64


def _default_pool(
    options: NetworkOptions,
    earlier: Network | None,
    existing: Sequence[str],
    taken: Sequence[Subnet],
) -> tuple[Pool, bool]:
    if options.bip:
        try:
            own = ip_interface(options.bip)
        except ValueError:
            raise InvalidParameter(f"invalid CIDR address: {options.bip}") from None
        return Pool(str(own.network), str(own.ip)), earlier.adopted if earlier else bool(existing)
    if earlier and earlier.pools and earlier.bridge == options.bridge:
        subnet = ip_network(earlier.pools[0].subnet)
        if not any(ipam.overlaps(subnet, other) for other in taken):
            return earlier.pools[0], earlier.adopted
    for text in existing:
        own = ip_interface(text)
        if own.version == 4:
            return Pool(str(own.network), str(own.ip)), True
    pools = options.address_pools or ipam.DEFAULT_POOLS
    return ipam.with_gateway(Pool(str(ipam.choose_subnet(pools, 4, taken)))), False


def _check_bridge(name: str, networks: Collection[Network]) -> None:
    if len(name) > _LONGEST_INTERFACE_NAME or "/" in name or " " in name:
        raise InvalidParameter(
            f"invalid bridge name {name}: an interface name has at most "
            f"{_LONGEST_INTERFACE_NAME} characters, without spaces and slashes"
        )
    for other in networks:
        if name and other.bridge == name:
            raise Forbidden(
                f"cannot create network ({name}): conflicts with network {other.id} ({name}): "
                "networks have same bridge name"
            )
