"""`--network` in its short and its long form, and the addresses and aliases that go with it."""

from __future__ import annotations

from lading.cli.options.csvline import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.flags import Options

BUILT_IN = ("default", "bridge", "host", "none")


class Attachment:
    """One network to connect to, and what the container is to be there."""

    __slots__ = ("endpoint", "target")

    def __init__(self, target: str) -> None:
        self.target = target
        self.endpoint: dict[str, Any] = {}

    @property
    def user_defined(self) -> bool:
        """Tell whether this is a network that somebody made, not a mode."""
        return self.target not in BUILT_IN and not self.target.startswith("container:")


def parse_network(text: str) -> Attachment:
    """Read `NAME` or `name=NAME,alias=…,ip=…`; raises ValueError in Docker's words."""
    if "=" not in text:
        return Attachment(text)
    attachment = Attachment("")
    for field in fields(text):
        key, equals, value = field.partition("=")
        if not equals or not value:
            raise ValueError(f"invalid field {field}")
        _put(attachment, key.strip().lower(), value.strip())
    if not attachment.target:
        raise ValueError("network name/id is not specified")
    return attachment


def _put(attachment: Attachment, key: str, value: str) -> None:
    endpoint = attachment.endpoint
    match key:
        case "name":
            attachment.target = value
        case "alias":
            endpoint.setdefault("Aliases", []).append(value)
        case "ip":
            endpoint.setdefault("IPAMConfig", {})["IPv4Address"] = value
        case "ip6":
            endpoint.setdefault("IPAMConfig", {})["IPv6Address"] = value
        case "link-local-ip":
            endpoint.setdefault("IPAMConfig", {}).setdefault("LinkLocalIPs", []).append(value)
        case "mac-address":
            endpoint["MacAddress"] = mac(value)
        case "driver-opt":
            name, equals, content = value.partition("=")
            if not equals:
                raise ValueError("invalid key value pair format in driver options")
            endpoint.setdefault("DriverOpts", {})[name.strip().lower()] = content.strip()
        case "gw-priority":
            try:
                endpoint["GwPriority"] = int(value)
            except ValueError:
                raise ValueError(f"invalid gw-priority ({value}): invalid syntax") from None
        case _:
            raise ValueError(f"invalid field key {key}")


def mac(text: str) -> str:
    """Check a MAC address; raises ValueError."""
    for separator in (":", "-"):
        parts = text.split(separator)
        if len(parts) == 6 and all(len(part) == 2 for part in parts):
            try:
                bytes.fromhex("".join(parts))
            except ValueError:
                break
            return text
    raise ValueError(f"{text} is not a valid mac address")


#: Options for the first network, and the word that the long form of `--network` has for each.
_SINGLE = {
    "network-alias": "alias",
    "link-local-ip": "link-local IP addresses",
    "ip": "IPv4 address",
    "ip6": "IPv6 address",
    "mac-address": "MAC address",
}


def networks(options: Options) -> list[Attachment]:
    """Join `--network` with `--ip`, `--network-alias`, `--link` …, which are for its first network.

    Raises ValueError where they contradict each other.
    """
    attachments = [*options.items("network")] or [Attachment("default")]
    first = attachments[0]
    _add_single_options(first, options)
    seen: set[str] = set()
    for attachment in attachments:
        if len(attachments) > 1 and not attachment.user_defined:
            raise ValueError(
                "conflicting options: cannot attach both user-defined "
                "and non-user-defined network-modes"
            )
        if attachment.target in seen:
            raise ValueError(f'network "{attachment.target}" is specified multiple times')
        seen.add(attachment.target)
        if attachment.endpoint.get("Aliases") and not attachment.user_defined:
            raise ValueError("network-scoped aliases are only supported for user-defined networks")
    if not first.user_defined:
        first.endpoint.pop("Links", None)
    return attachments


def _add_single_options(first: Attachment, options: Options) -> None:
    endpoint = first.endpoint
    addresses = endpoint.get("IPAMConfig", {})
    have = {
        "network-alias": endpoint.get("Aliases"),
        "link-local-ip": addresses.get("LinkLocalIPs"),
        "ip": addresses.get("IPv4Address"),
        "ip6": addresses.get("IPv6Address"),
        "mac-address": endpoint.get("MacAddress"),
    }
    for name, words in _SINGLE.items():
        if options.value(name) and have[name]:
            raise ValueError(
                f"conflicting options: cannot specify both --{name} and per-network {words}"
            )
    for name, key in (("network-alias", "alias"), ("link-local-ip", "link-local-ip")):
        for value in options.items(name):
            _put(first, key, value)
    for name in ("ip", "ip6", "mac-address"):
        if value := options.text(name):
            _put(first, name, value)
    if links := options.items("link"):
        endpoint["Links"] = links
