"""`lading ps`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.filters import FILTER_FLAG, FORMAT_FLAG, as_query
from lading.cli.flags import Flag, Options
from lading.cli.format_text import quoted
from lading.cli.kinds import BOOL, INT
from lading.cli.listing import (
    Column,
    Listing,
    View,
    choose_template,
    ellipsis,
    label_method,
    labels_text,
    row_of,
    short_id,
    show,
    shown_id,
    view_of,
)
from lading.cli.moments import show_utc
from lading.cli.portlist import show_ports
from lading.cli.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TABLE = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
COMMAND_WIDTH, MOUNT_WIDTH = 20, 15

RAW = """container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
"""


def _names(item: dict[str, Any], view: View) -> str:
    names = [name.removeprefix("/") for name in item.get("Names") or ()]
    own = [name for name in names if "/" not in name]
    return own[0] if view.trunc and own else ",".join(names)


def _image(item: dict[str, Any], view: View) -> str:
    image: str = item.get("Image", "")
    if not image:
        return "<no image>"
    if not view.trunc:
        return image
    if short_id(item.get("ImageID", "")) == short_id(image):
        return short_id(image)
    name, at, _ = image.partition("@")
    return name if at and ":" in name.rpartition("/")[2] else image


def _command(item: dict[str, Any], view: View) -> str:
    command: str = item.get("Command", "")
    return quoted(ellipsis(command, COMMAND_WIDTH) if view.trunc else command)


def _mounts(item: dict[str, Any], view: View) -> str:
    names = [mount.get("Name") or mount.get("Source", "") for mount in item.get("Mounts") or ()]
    return ",".join(ellipsis(name, MOUNT_WIDTH) if view.trunc else name for name in names)


def _local_volumes(item: dict[str, Any], _view: View) -> str:
    return str(sum(mount.get("Driver") == "local" for mount in item.get("Mounts") or ()))


def size_text(item: dict[str, Any], _view: View) -> str:
    """Show the size of the writable layer and, with it, of all that the container sees."""
    own, whole = item.get("SizeRw", 0), item.get("SizeRootFs", 0)
    text = human_size(own)
    return f"{text} (virtual {human_size(whole)})" if whole else text


def _networks(item: dict[str, Any], _view: View) -> str:
    return ",".join(sorted((item.get("NetworkSettings") or {}).get("Networks") or {}))


CONTAINERS = Listing(
    "*formatter.ContainerContext",
    (
        Column("ID", "CONTAINER ID", lambda c, v: shown_id(c["Id"], v)),
        Column("Names", "NAMES", _names),
        Column("Image", "IMAGE", _image, shrinks=True),
        Column("Command", "COMMAND", _command, shrinks=True),
        Column("CreatedAt", "CREATED AT", lambda c, _: show_utc(c.get("Created", 0))),
        Column(
            "RunningFor",
            "CREATED",
            lambda c, v: human_duration(v.now - c.get("Created", 0)) + " ago",
        ),
        Column("Ports", "PORTS", lambda c, _: show_ports(c.get("Ports") or []), shrinks=True),
        Column("State", "STATE", lambda c, _: c.get("State", "")),
        Column("Status", "STATUS", lambda c, _: c.get("Status", "")),
        Column("Size", "SIZE", size_text),
        Column("Labels", "LABELS", lambda c, _: labels_text(c.get("Labels")), shrinks=True),
        Column("Label", "", lambda c, _: label_method(c.get("Labels"))),
        Column("Mounts", "MOUNTS", _mounts, shrinks=True),
        Column("LocalVolumes", "LOCAL VOLUMES", _local_volumes),
        Column("Networks", "NETWORKS", _networks, shrinks=True),
        Column("Platform", "PLATFORM", lambda _c, _v: None),
    ),
    raw=RAW,
    raw_quiet="container_id: {{.ID}}",
)


def _wants_size(template: str) -> bool:
    """Tell whether a template shows sizes, which the daemon has to count first.

    Raises CliError if it is wrong.
    """
    if template in ("", "table", "json", "raw"):
        return False
    from lading.cli.format.docker import uses
    from lading.cli.format.lexer import TemplateError

    try:
        return "Size" in uses(template, row_of(CONTAINERS, {"Id": ""}, View()))
    except TemplateError as error:
        raise CliError(str(error)) from None


def ps(context: Context, options: Options) -> int:
    """List containers."""
    last = 1 if options.on("latest") and not options.given("last") else options.number("last")
    template = choose_template(context, options, "psFormat")
    if options.on("quiet") and template not in ("", "table", "raw"):
        context.error(
            "WARNING: Ignoring custom format, because both --format and --quiet are set.\n"
        )
        template = ""
    size = options.on("size") or _wants_size(template)
    query = {
        "all": options.on("all"),
        "limit": last if last > 0 else None,
        "size": size,
        "filters": as_query(options.items("filter")),
    }
    found = context.client.get("/containers/json", query) or []
    table = (*TABLE, "Size") if options.on("size") else TABLE
    raw = RAW + "size: {{.Size}}\n" if template == "raw" and size else template
    show(
        context,
        CONTAINERS,
        found,
        table,
        view=view_of(options),
        template=raw,
        quiet=options.on("quiet"),
    )
    return 0


COMMANDS = {
    "ps": Command(
        "ps",
        "[OPTIONS]",
        "List containers",
        ps,
        flags=(
            Flag("all", "a", BOOL, "Show all containers, not only running ones"),
            FILTER_FLAG,
            FORMAT_FLAG,
            Flag(
                "last",
                "n",
                INT,
                "Show the n containers created last, in whatever state",
                default=-1,
            ),
            Flag("latest", "l", BOOL, "Show the container created last, in whatever state"),
            Flag("no-trunc", "", BOOL, "Show ids, commands and names in full"),
            Flag("quiet", "q", BOOL, "Show ids only"),
            Flag("size", "s", BOOL, "Show sizes"),
        ),
        about="Running containers, newest first. Filters are id, name, label, status, exited, "
        "ancestor, before, since, volume, network, publish, expose, health and is-task.",
        examples=(
            ("ps -a --filter status=exited", "containers that have ended"),
            ("ps --format '{{.Names}}: {{.Status}}'", "one line of your own for each"),
            ("rm $(lading ps -aq --filter status=exited)", "remove all that have ended"),
        ),
    ),
}
