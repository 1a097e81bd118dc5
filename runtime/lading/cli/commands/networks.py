"""`lading network create`, `ls`, `rm`, `connect` and `disconnect`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.filters import FILTER_FLAG, FORMAT_FLAG, as_query
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, INT, MAP, STRING, STRINGS, listing
from lading.cli.listing import (
    Column,
    Listing,
    choose_template,
    label_method,
    labels_text,
    show,
    shown_id,
    view_of,
)
from lading.cli.options.checks import label, link
from lading.cli.options.ipam import pools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _created(network: dict[str, Any]) -> str:
    from lading.cli.format.values import Moment

    return Moment(network.get("Created", "")).shown()


def _switch(network: dict[str, Any], key: str) -> str:
    return "true" if network.get(key) else "false"


NETWORKS = Listing(
    "*network.networkContext",
    (
        Column("ID", "NETWORK ID", lambda n, v: shown_id(n["Id"], v)),
        Column("Name", "NAME", lambda n, _: n.get("Name", ""), shrinks=True),
        Column("Driver", "DRIVER", lambda n, _: n.get("Driver", "")),
        Column("Scope", "SCOPE", lambda n, _: n.get("Scope", "")),
        Column("IPv4", "IPV4", lambda n, _: _switch(n, "EnableIPv4")),
        Column("IPv6", "IPV6", lambda n, _: _switch(n, "EnableIPv6")),
        Column("Internal", "INTERNAL", lambda n, _: _switch(n, "Internal")),
        Column("Labels", "LABELS", lambda n, _: labels_text(n.get("Labels")), shrinks=True),
        Column("Label", "", lambda n, _: label_method(n.get("Labels"))),
        Column("CreatedAt", "CREATED AT", lambda n, _: _created(n)),
    ),
    raw="network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
    raw_quiet="network_id: {{.ID}}",
)


def create(context: Context, options: Options) -> int:
    """Create a network and show its id."""
    try:
        configurations = pools(options)
    except ValueError as error:
        raise CliError(str(error)) from None
    body: dict[str, Any] = {
        "Name": options.args[0],
        "Driver": options.text("driver"),
        "Scope": options.text("scope"),
        "Internal": options.on("internal"),
        "Attachable": options.on("attachable"),
        "Ingress": options.on("ingress"),
        "ConfigOnly": options.on("config-only"),
        "IPAM": {
            "Driver": options.text("ipam-driver"),
            "Options": options.mapping("ipam-opt"),
            "Config": configurations,
        },
        "Options": options.mapping("opt"),
        "Labels": options.mapping("label"),
    }
    if options.text("config-from"):
        body["ConfigFrom"] = {"Network": options.text("config-from")}
    for name, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if options.given(name):
            body[key] = options.on(name)
    answer = context.client.post("/networks/create", body=body)
    if warning := answer.get("Warning"):
        context.error(f"WARNING: {warning}\n")
    context.out(answer["Id"] + "\n")
    return 0


def ls(context: Context, options: Options) -> int:
    """List networks by name."""
    found = context.client.get("/networks", {"filters": as_query(options.items("filter"))}) or []
    found.sort(key=lambda network: network.get("Name", ""))
    show(
        context,
        NETWORKS,
        found,
        ("ID", "Name", "Driver", "Scope"),
        view=view_of(options),
        template=choose_template(context, options, "networksFormat"),
        quiet=options.on("quiet"),
    )
    return 0


def rm(context: Context, options: Options) -> int:
    """Remove networks and show the name of each; what could not be removed makes the status 1."""
    status = 0
    for name in options.args:
        try:
            context.client.delete(f"/networks/{name}")
        except ApiError as error:
            if options.on("force") and error.http_status == 404:
                continue
            context.error(f"{error}\n")
            status = 1
        else:
            context.out(f"{name}\n")
    return status


def connect(context: Context, options: Options) -> int:
    """Connect a container to a network."""
    network, container = options.args
    addresses = {
        "IPv4Address": options.text("ip"),
        "IPv6Address": options.text("ip6"),
        "LinkLocalIPs": options.items("link-local-ip"),
    }
    endpoint = {
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
        "Links": options.items("link"),
        "Aliases": options.items("alias"),
        "DriverOpts": options.mapping("driver-opt"),
        "GwPriority": options.number("gw-priority"),
    }
    body = {
        "Container": container,
        "EndpointConfig": {key: value for key, value in endpoint.items() if value},
    }
    context.client.post(f"/networks/{network}/connect", body=body)
    return 0


def disconnect(context: Context, options: Options) -> int:
    """Disconnect a container from a network."""
    network, container = options.args
    body = {"Container": container, "Force": options.on("force")}
    context.client.post(f"/networks/{network}/disconnect", body=body)
    return 0


COMMANDS = {
    "network create": Command(
        "network create",
        "[OPTIONS] NETWORK",
        "Create a network",
        create,
        arguments=(1, 1),
        flags=(
            Flag("driver", "d", STRING, "Driver of the network", default="bridge"),
            Flag(
                "subnet",
                "",
                STRINGS,
                "Subnet, such as 172.28.0.0/16; may be repeated",
                group="Addresses",
            ),
            Flag("gateway", "", STRINGS, "Gateway in the subnet", group="Addresses"),
            Flag(
                "ip-range",
                "",
                STRINGS,
                "Part of the subnet to hand addresses out of",
                group="Addresses",
            ),
            Flag(
                "aux-address",
                "",
                MAP,
                "Address in the subnet that is taken: name=address",
                group="Addresses",
            ),
            Flag("ipv4", "", BOOL, "Hand out IPv4 addresses", default=True, group="Addresses"),
            Flag("ipv6", "", BOOL, "Hand out IPv6 addresses", group="Addresses"),
            Flag(
                "ipam-driver",
                "",
                STRING,
                "Driver for addresses",
                default="default",
                group="Addresses",
            ),
            Flag("ipam-opt", "", MAP, "Option of that driver", group="Addresses"),
            Flag("internal", "", BOOL, "No way out of the network"),
            Flag("attachable", "", BOOL, "Let containers be attached by hand"),
            Flag("ingress", "", BOOL, "Make it a swarm's routing mesh"),
            Flag("label", "", listing("list", label), "Label of the network"),
            Flag("opt", "o", MAP, "Option of the driver: key=value"),
            Flag("scope", "", STRING, "Scope of the network"),
            Flag("config-only", "", BOOL, "Make a configuration for other networks only"),
            Flag("config-from", "", STRING, "Network to take the configuration from"),
        ),
        about="Containers in the same network reach each other by name; containers in different "
        "networks do not reach each other at all.",
        examples=(
            ("network create back", "a bridge with a subnet of its own"),
            (
                "network create --subnet 10.9.0.0/24 --gateway 10.9.0.1 back",
                "with addresses of your choice",
            ),
        ),
    ),
    "network ls": Command(
        "network ls",
        "[OPTIONS]",
        "List networks",
        ls,
        flags=(
            FILTER_FLAG,
            FORMAT_FLAG,
            Flag("no-trunc", "", BOOL, "Show ids in full"),
            Flag("quiet", "q", BOOL, "Show ids only"),
        ),
        about="Filters are dangling, driver, id, label, name, scope and type.",
    ),
    "network rm": Command(
        "network rm",
        "[OPTIONS] NETWORK [NETWORK...]",
        "Remove one or more networks",
        rm,
        arguments=(1, None),
        flags=(Flag("force", "f", BOOL, "Do not complain about networks that do not exist"),),
        about="A network with running containers in it cannot be removed.",
    ),
    "network connect": Command(
        "network connect",
        "[OPTIONS] NETWORK CONTAINER",
        "Connect a container to a network",
        connect,
        arguments=(2, 2),
        flags=(
            Flag("alias", "", STRINGS, "Further name in the network"),
            Flag("driver-opt", "", STRINGS, "Option of the driver: key=value"),
            Flag(
                "gw-priority", "", INT, "The network with the highest one has the default gateway"
            ),
            Flag("ip", "", STRING, "IPv4 address"),
            Flag("ip6", "", STRING, "IPv6 address"),
            Flag("link", "", listing("list", link), "Link to another container: name[:alias]"),
            Flag("link-local-ip", "", STRINGS, "Link-local address"),
        ),
        about="A running container gets one more interface at once.",
        examples=(("network connect --alias db back postgres", "reached as db in there"),),
    ),
    "network disconnect": Command(
        "network disconnect",
        "[OPTIONS] NETWORK CONTAINER",
        "Disconnect a container from a network",
        disconnect,
        arguments=(2, 2),
        flags=(Flag("force", "f", BOOL, "Do it even if the container is not to be reached"),),
    ),
}
