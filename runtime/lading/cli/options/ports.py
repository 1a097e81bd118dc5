"""Ports: `-p` and `--expose`."""

from __future__ import annotations

from lading.cli.kinds import parse_uint16
from lading.cli.options.checks import is_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROTOCOLS = ("tcp", "udp", "sctp")
Bindings = dict[str, list[dict[str, str]]]


def parse_range(text: str) -> tuple[int, int]:
    """Read `80` or `80-90`; raises ValueError."""
    if not text:
        raise ValueError("empty string specified for ports")
    first, dash, last = text.partition("-")
    low = parse_uint16(first)
    high = parse_uint16(last) if dash else low
    if high < low:
        raise ValueError(f"invalid range specified for port: {text}")
    return low, high


def _split(text: str) -> tuple[str, str, str]:
    """Cut `[ip:][host port:]container port` into its three parts."""
    left, _, container = text.rpartition(":")
    if not left:
        return "", "", container
    address, colon, host = left.rpartition(":")
    if not colon:
        return "", left, container
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    return address, host, container


def parse_port(text: str) -> Bindings:
    """Read one value of `-p`: the host's ends of each container port.

    Raises ValueError in Docker's words.
    """
    body, slash, protocol = text.rpartition("/")
    if not slash:
        body, protocol = text, "tcp"
    protocol = protocol.lower()
    address, host, container = _split(body)
    if address and not is_ip(address.partition("%")[0]):
        raise ValueError(f"invalid IP address: {address}")
    if not container:
        raise ValueError(f"no port specified: {text}<empty>")
    try:
        low, high = parse_range(container)
    except ValueError:
        raise ValueError(f"invalid containerPort: {container}") from None
    host_low, host_high = _host_range(host)
    if host and high - low != host_high - host_low and high != low:
        raise ValueError(
            f"invalid ranges specified for container and host Ports: {container} and {host}"
        )
    if protocol not in PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    one_of_many = high == low and host_high != host_low
    bindings: Bindings = {}
    for offset in range(high - low + 1):
        host_port = host if one_of_many else str(host_low + offset) if host else ""
        bindings[f"{low + offset}/{protocol}"] = [{"HostIp": address, "HostPort": host_port}]
    return bindings


def _host_range(text: str) -> tuple[int, int]:
    if not text:
        return 0, 0
    try:
        return parse_range(text)
    except ValueError:
        raise ValueError(f"invalid hostPort: {text}") from None


def published(values: list[str]) -> Bindings:
    """Merge all values of `-p`; a container port can be published more than once."""
    merged: Bindings = {}
    for value in values:
        text = _from_pairs(value) if "=" in value else value
        for port, ends in parse_port(text).items():
            merged.setdefault(port, []).extend(ends)
    return merged


def _from_pairs(text: str) -> str:
    """Turn the long form `published=80,target=90,protocol=tcp` into the short one."""
    pairs = {"protocol": "tcp", "published": "", "target": ""}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise ValueError(
                f"invalid publish opts format (should be name=value but got '{field}')"
            )
        pairs[key] = value
    return f"{pairs['published']}:{pairs['target']}/{pairs['protocol']}"


def exposed(values: list[str]) -> list[str]:
    """List the ports of `--expose` values: `80`, `80/udp`, `80-90`; raises ValueError."""
    found: list[str] = []
    for value in values:
        if ":" in value:
            raise ValueError(f"invalid port format for --expose: {value}")
        numbers, _, protocol = value.partition("/")
        try:
            low, high = parse_range(numbers)
        except ValueError as error:
            raise ValueError(
                f"invalid range format for --expose: {value}, error: {error}"
            ) from None
        found += [f"{port}/{protocol or 'tcp'}" for port in range(low, high + 1)]
    return found


def exposed_set(bindings: Bindings, exposes: list[str]) -> dict[str, dict[str, Any]]:
    """Make the API's set of exposed ports: the published ones and the exposed ones."""
    return {port: {} for port in sorted({*bindings, *exposed(exposes)})}
