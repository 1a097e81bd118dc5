"""`lading port`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.flags import Options
from lading.cli.portlist import join_host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _order(entry: tuple[str, Any]) -> tuple[int, str]:
    number, _, protocol = entry[0].partition("/")
    return int(number or 0), protocol


def port(context: Context, options: Options) -> int:
    """Show where a container's ports are published."""
    container = options.args[0]
    details = context.client.get(f"/containers/{container}/json")
    ports = (details.get("NetworkSettings") or {}).get("Ports") or {}
    if len(options.args) > 1:
        wanted = options.args[1]
        number, slash, protocol = wanted.partition("/")
        if not number.isdigit() or int(number) > 65535:
            raise CliError(f"Error: invalid port ({number}): it must be a number up to 65535")
        ends = ports.get(f"{number}/{protocol if slash else 'tcp'}")
        if not ends:
            raise CliError(f"Error: No public port '{wanted}' published for {container}")
        for end in ends:
            context.out(join_host_port(end["HostIp"], end["HostPort"]) + "\n")
        return 0
    for name, ends in sorted(ports.items(), key=_order):
        for end in ends or ():
            context.out(f"{name} -> {join_host_port(end['HostIp'], end['HostPort'])}\n")
    return 0


COMMANDS = {
    "port": Command(
        "port",
        "CONTAINER [PRIVATE_PORT[/PROTO]]",
        "List port mappings or a specific mapping for the container",
        port,
        arguments=(1, 2),
        about="Useful when the host's port was chosen at random (`-p 80` or `-P`).",
        examples=(("port web 80", "the address and port of the host that lead to port 80"),),
    ),
}
