"""`lading system df`."""

from __future__ import annotations

from lading.cli import fastjson
from lading.cli.command import Command, Context
from lading.cli.commands.images import IMAGES, rows
from lading.cli.commands.ps import CONTAINERS
from lading.cli.commands.volumes import VOLUMES
from lading.cli.filters import FORMAT_FLAG
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL
from lading.cli.listing import Column, Listing, View, json_line, render, short_id, show
from lading.cli.moments import parse_rfc3339
from lading.cli.units import SECOND, human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUNNING = ("running", "paused", "restarting")


class Share:
    """One line of the overview: how many objects there are and are in use, and their bytes."""

    __slots__ = ("active", "count", "kind", "percent", "reclaimable", "size")

    def __init__(
        self, kind: str, count: int, active: int, size: int, reclaimable: int, *, percent: bool
    ) -> None:
        self.kind = kind
        self.count = count
        self.active = active
        self.size = size
        self.reclaimable = reclaimable
        self.percent = percent

    def reclaimable_text(self) -> str:
        """Show what could come free, in bytes and, where it means something, as a share."""
        text = human_size(self.reclaimable, 4)
        if self.percent and self.size > 0:
            text += f" ({int(self.reclaimable * 100 / self.size)}%)"
        return text


SHARES = Listing(
    "*formatter.diskUsageContext",
    (
        Column("Type", "TYPE", lambda s, _: s.kind),
        Column("TotalCount", "TOTAL", lambda s, _: str(s.count)),
        Column("Active", "ACTIVE", lambda s, _: str(s.active)),
        Column("Size", "SIZE", lambda s, _: human_size(s.size, 4)),
        Column("Reclaimable", "RECLAIMABLE", lambda s, _: s.reclaimable_text()),
    ),
    key="Type",
    raw="type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n"
    "reclaimable: {{.Reclaimable}}\n",
)
TABLE = ("Type", "TotalCount", "Active", "Size", "Reclaimable")


def _images(usage: dict[str, Any]) -> Share:
    images = usage.get("Images") or []
    layers = usage.get("LayersSize", 0)
    used = 0
    for image in images:
        if (
            image.get("Containers")
            and image.get("Size", -1) != -1
            and image.get("SharedSize", -1) != -1
        ):
            used += image["Size"] - image["SharedSize"]
    active = sum(image.get("Containers", 0) > 0 for image in images)
    return Share("Images", len(images), active, layers, layers - used, percent=True)


def _containers(usage: dict[str, Any]) -> Share:
    containers = usage.get("Containers") or []
    running = [c for c in containers if c.get("State") in RUNNING]
    size = sum(c.get("SizeRw", 0) for c in containers)
    free = size - sum(c.get("SizeRw", 0) for c in running)
    return Share("Containers", len(containers), len(running), size, free, percent=True)


def _volumes(usage: dict[str, Any]) -> Share:
    volumes = usage.get("Volumes") or []
    known = [v.get("UsageData") or {} for v in volumes]
    sizes = [(data.get("RefCount", 0), max(0, data.get("Size", 0))) for data in known]
    active = sum(count > 0 for count, _ in sizes)
    size = sum(size for _, size in sizes)
    free = sum(size for count, size in sizes if count == 0)
    return Share("Local Volumes", len(volumes), active, size, free, percent=True)


def _cache(usage: dict[str, Any]) -> Share:
    cache = usage.get("BuildCache") or []
    size = sum(entry.get("Size", 0) for entry in cache if not entry.get("Shared"))
    active = [entry for entry in cache if entry.get("InUse")]
    used = sum(entry.get("Size", 0) for entry in active if not entry.get("Shared"))
    return Share("Build Cache", len(cache), len(active), size, size - used, percent=False)


def _age(moment: str | None, view: View) -> str:
    nanoseconds = parse_rfc3339(moment) if moment else None
    return "" if nanoseconds is None else f"{human_duration(view.now - nanoseconds / SECOND)} ago"


CACHE = Listing(
    "*formatter.buildCacheContext",
    (
        Column("ID", "CACHE ID", lambda e, v: short_id(e["ID"]) if v.trunc else e["ID"]),
        Column("Parent", "PARENT", lambda e, _: ",".join(e.get("Parents") or ())),
        Column("CacheType", "CACHE TYPE", lambda e, _: e.get("Type", "")),
        Column("Description", "DESCRIPTION", lambda e, _: e.get("Description", ""), shrinks=True),
        Column("Size", "SIZE", lambda e, _: human_size(e.get("Size", 0))),
        Column("CreatedAt", "CREATED AT", lambda e, _: e.get("CreatedAt", "")),
        Column("CreatedSince", "CREATED", lambda e, v: _age(e.get("CreatedAt"), v)),
        Column("LastUsedAt", "LAST USED AT", lambda e, _: e.get("LastUsedAt") or ""),
        Column("LastUsedSince", "LAST USED", lambda e, v: _age(e.get("LastUsedAt"), v)),
        Column("UsageCount", "USAGE", lambda e, _: str(e.get("UsageCount", 0))),
        Column("InUse", "IN USE", lambda e, _: str(bool(e.get("InUse"))).lower()),
        Column("Shared", "SHARED", lambda e, _: str(bool(e.get("Shared"))).lower()),
    ),
)
IMAGE_TABLE = (
    "Repository",
    "Tag",
    "ID",
    "CreatedSince",
    "Size",
    "SharedSize",
    "UniqueSize",
    "Containers",
)
CONTAINER_TABLE = (
    "ID",
    "Image",
    "Command",
    "LocalVolumes",
    "Size",
    "RunningFor",
    "Status",
    "Names",
)
CACHE_TABLE = ("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared")


def _verbose(usage: dict[str, Any], context: Context) -> str:
    view, width = View(), context.width()
    containers = [{**c, "SizeRootFs": 0} for c in usage.get("Containers") or ()]
    images = rows(usage.get("Images") or [], digests=False)
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    return (
        "Images space usage:\n\n"
        + render(IMAGES, images, IMAGE_TABLE, view=view, width=width)
        + "\nContainers space usage:\n\n"
        + render(CONTAINERS, containers, CONTAINER_TABLE, view=view, width=width)
        + "\nLocal Volumes space usage:\n\n"
        + render(VOLUMES, volumes, ("Name", "Links", "Size"), view=view, width=width)
        + f"\nBuild cache usage: {human_size(_cache(usage).size, 4)}\n\n"
        + render(CACHE, cache, CACHE_TABLE, view=view, width=width)
    )


def _verbose_json(usage: dict[str, Any]) -> str:
    view = View(trunc=False)
    containers = [{**c, "SizeRootFs": 0} for c in usage.get("Containers") or ()]
    parts = {
        "Images": [
            json_line(IMAGES, row, view) for row in rows(usage.get("Images") or [], digests=True)
        ],
        "Containers": [json_line(CONTAINERS, item, view) for item in containers],
        "Volumes": [json_line(VOLUMES, item, view) for item in usage.get("Volumes") or ()],
        "BuildCache": [json_line(CACHE, item, view) for item in usage.get("BuildCache") or ()],
    }
    pairs = (f"{fastjson.dumps(name)}:[{','.join(lines)}]" for name, lines in parts.items())
    return "{" + ",".join(pairs) + "}\n"


def df(context: Context, options: Options) -> int:
    """Show how much disk space images, containers, volumes and build cache take."""
    usage = context.client.get("/system/df")
    template = options.text("format")
    if options.on("verbose"):
        if template in ("json", "{{json .}}"):
            context.out(_verbose_json(usage))
        else:
            context.out(_verbose(usage, context))
        return 0
    shares = [_images(usage), _containers(usage), _volumes(usage), _cache(usage)]
    show(context, SHARES, shares, TABLE, view=View(), template=template)
    return 0


COMMANDS = {
    "system df": Command(
        "system df",
        "[OPTIONS]",
        "Show disk usage",
        df,
        flags=(
            FORMAT_FLAG,
            Flag("verbose", "v", BOOL, "Show each image, container, volume and cache entry"),
        ),
        about="Layers that several images share count once. RECLAIMABLE is what `lading system "
        "prune -a --volumes` would set free at most.",
        examples=(("system df -v", "where the space goes"),),
    ),
}
