"""`lading volume create`, `ls` and `rm`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import ApiError
from lading.cli.filters import FILTER_FLAG, FORMAT_FLAG, as_query
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, MAP, STRING, listing
from lading.cli.listing import (
    Column,
    Listing,
    View,
    choose_template,
    label_method,
    labels_text,
    show,
)
from lading.cli.options.checks import label
from lading.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLUSTER = "N/A"


def _usage(volume: dict[str, Any], key: str) -> Any:
    usage = volume.get("UsageData")
    return None if usage is None else usage.get(key)


def _links(volume: dict[str, Any], _view: View) -> str:
    count = _usage(volume, "RefCount")
    return CLUSTER if count is None else str(count)


def _size(volume: dict[str, Any], _view: View) -> str:
    size = _usage(volume, "Size")
    return CLUSTER if size is None or size == -1 else human_size(size, 4)


VOLUMES = Listing(
    "*formatter.volumeContext",
    (
        Column("Name", "VOLUME NAME", lambda v, _: v["Name"]),
        Column("Driver", "DRIVER", lambda v, _: v.get("Driver", "")),
        Column("Scope", "SCOPE", lambda v, _: v.get("Scope", "")),
        Column("Mountpoint", "MOUNTPOINT", lambda v, _: v.get("Mountpoint", ""), shrinks=True),
        Column("Labels", "LABELS", lambda v, _: labels_text(v.get("Labels")), shrinks=True),
        Column("Label", "", lambda v, _: label_method(v.get("Labels"))),
        Column("Links", "LINKS", _links),
        Column("Size", "SIZE", _size),
        Column("Group", "GROUP", lambda _v, _: CLUSTER),
        Column("Availability", "AVAILABILITY", lambda _v, _: CLUSTER),
        Column("Status", "STATUS", lambda _v, _: CLUSTER),
    ),
    key="Name",
    raw="name: {{.Name}}\ndriver: {{.Driver}}\n",
    raw_quiet="name: {{.Name}}",
)


def create(context: Context, options: Options) -> int:
    """Create a volume and show its name."""
    body = {
        "Name": options.args[0] if options.args else "",
        "Driver": options.text("driver"),
        "DriverOpts": options.mapping("opt"),
        "Labels": options.mapping("label"),
    }
    context.out(context.client.post("/volumes/create", body=body)["Name"] + "\n")
    return 0


def ls(context: Context, options: Options) -> int:
    """List volumes by name."""
    answer = context.client.get("/volumes", {"filters": as_query(options.items("filter"))})
    found = sorted(answer.get("Volumes") or [], key=lambda volume: _natural(volume["Name"]))
    show(
        context,
        VOLUMES,
        found,
        ("Driver", "Name"),
        view=View(),
        template=choose_template(context, options, "volumesFormat"),
        quiet=options.on("quiet"),
    )
    return 0


def _natural(name: str) -> list[tuple[int, str]]:
    """Order names as people do: v2 before v10."""
    parts: list[tuple[int, str]] = []
    at = 0
    while at < len(name):
        end = at
        digits = name[at].isdigit()
        while end < len(name) and name[end].isdigit() == digits:
            end += 1
        text = name[at:end]
        parts.append((int(text) if digits and text.isascii() else -1, text))
        at = end
    return parts


def rm(context: Context, options: Options) -> int:
    """Remove volumes and show the name of each; what could not be removed makes the status 1."""
    failed = False
    for name in options.args:
        try:
            context.client.delete(f"/volumes/{name}", {"force": options.on("force")})
        except ApiError as error:
            context.error(f"{error}\n")
            failed = True
        else:
            context.out(f"{name}\n")
    return int(failed)


COMMANDS = {
    "volume create": Command(
        "volume create",
        "[OPTIONS] [VOLUME]",
        "Create a volume",
        create,
        arguments=(0, 1),
        flags=(
            Flag("driver", "d", STRING, "Driver of the volume", default="local"),
            Flag("label", "", listing("list", label), "Label of the volume"),
            Flag("opt", "o", MAP, "Option of the driver: key=value"),
        ),
        about="A volume is a directory that outlives the containers that use it. Without a name it "
        "gets one.",
        examples=(
            ("volume create data", "then: lading run -v data:/var/lib/data …"),
            (
                "volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch",
                "a volume in memory",
            ),
        ),
    ),
    "volume ls": Command(
        "volume ls",
        "[OPTIONS]",
        "List volumes",
        ls,
        flags=(FILTER_FLAG, FORMAT_FLAG, Flag("quiet", "q", BOOL, "Show names only")),
        about="Filters are dangling, driver, label and name.",
        examples=(("volume ls --filter dangling=true", "volumes that no container uses"),),
    ),
    "volume rm": Command(
        "volume rm",
        "[OPTIONS] VOLUME [VOLUME...]",
        "Remove one or more volumes",
        rm,
        arguments=(1, None),
        flags=(Flag("force", "f", BOOL, "Do not complain about volumes that do not exist"),),
        about="What is in the volumes is lost. A volume that a container uses, even one that has "
        "ended, cannot be removed.",
    ),
}
