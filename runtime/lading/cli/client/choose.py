"""Make the client for the daemon that the user means."""

from __future__ import annotations

from lading.cli.client.api import Client
from lading.cli.client.sockets import choose, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def make_client(host: str, tls: dict[str, Any] | None) -> Client:
    """Make a client of the chosen daemon; root's default one may be started on the way.

    `tls` is what `secure.wrapper` takes; without, only https:// is secured, as browsers do it.
    """
    address = parse_address(choose(host), tls=tls is not None)
    start = None
    if address.is_default:
        from lading.cli.client import autostart

        start = autostart.start if autostart.may_start() else None
    client = Client(address, start=start)
    if address.host and (tls is not None or address.text.startswith("https://")):
        from lading.cli.client.secure import wrapper

        client.secure = wrapper({"verify": True, "public": True} if tls is None else tls)
    return client
