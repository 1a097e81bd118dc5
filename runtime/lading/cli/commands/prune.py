"""`lading container|image|network|volume|builder|system prune`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.filters import as_query
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, FILTER, SIZE
from lading.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Filters = dict[str, dict[str, bool]]

NOT_IMPLEMENTED = 501
QUESTION = "Are you sure you want to continue?"
FILTER_FLAG = Flag("filter", "", FILTER, "Remove only what fits, such as until=24h or label=key")
FORCE_FLAG = Flag("force", "f", BOOL, "Do not ask")


def _confirmed(context: Context, options: Options, warning: str) -> bool:
    return options.on("force") or context.confirm(f"WARNING! {warning}\n{QUESTION}")


def _filters(context: Context, options: Options) -> Filters:
    """Join the command line's filters with those that config.json has for prunes."""
    configured = context.config.data.get("pruneFilters") or []
    return as_query([*options.items("filter"), *configured])


def _total(context: Context, reclaimed: int) -> None:
    context.out(f"Total reclaimed space: {human_size(reclaimed, 4)}\n")


def _listed(context: Context, title: str, names: list[str] | None) -> None:
    if names:
        context.out("\n".join((f"{title}:", *names)) + "\n\n")


def prune_containers(context: Context, filters: Filters) -> int:
    """Remove containers that do not run; give the bytes that came free."""
    report = context.client.post("/containers/prune", {"filters": filters})
    _listed(context, "Deleted Containers", report.get("ContainersDeleted"))
    return int(report.get("SpaceReclaimed", 0))


def prune_images(context: Context, filters: Filters, *, every: bool) -> int:
    """Remove images without a name, or all that no container uses.

    Give the bytes that came free.
    """
    chosen = {**filters, "dangling": {"false" if every else "true": True}}
    report = context.client.post("/images/prune", {"filters": chosen})
    steps = [
        f"untagged: {step['Untagged']}"
        if step.get("Untagged")
        else f"deleted: {step.get('Deleted', '')}"
        for step in report.get("ImagesDeleted") or ()
    ]
    _listed(context, "Deleted Images", steps)
    return int(report.get("SpaceReclaimed", 0))


def prune_networks(context: Context, filters: Filters) -> int:
    """Remove networks without containers."""
    report = context.client.post("/networks/prune", {"filters": filters})
    _listed(context, "Deleted Networks", report.get("NetworksDeleted"))
    return 0


def prune_volumes(context: Context, filters: Filters, *, every: bool) -> int:
    """Remove anonymous volumes, or all, that no container uses; give the bytes that came free."""
    chosen = {**filters, "all": {"true": True}} if every else filters
    report = context.client.post("/volumes/prune", {"filters": chosen})
    _listed(context, "Deleted Volumes", report.get("VolumesDeleted"))
    return int(report.get("SpaceReclaimed", 0))


def prune_cache(context: Context, filters: Filters, *, every: bool, keep: int = 0) -> int:
    """Remove the build cache's dangling, or all its unused, entries.

    Give the bytes that came free.
    """
    query: dict[str, Any] = {"all": every, "filters": filters, "keep-storage": keep or None}
    report = context.client.post("/build/prune", query) or {}
    _listed(context, "Deleted build cache objects", report.get("CachesDeleted"))
    return int(report.get("SpaceReclaimed", 0))


def containers(context: Context, options: Options) -> int:
    """Remove all stopped containers."""
    if _confirmed(context, options, "This will remove all stopped containers."):
        _total(context, prune_containers(context, _filters(context, options)))
    return 0


def images(context: Context, options: Options) -> int:
    """Remove unused images."""
    every = options.on("all")
    what = (
        "all images without at least one container associated to them"
        if every
        else "all dangling images"
    )
    if _confirmed(context, options, f"This will remove {what}."):
        _total(context, prune_images(context, _filters(context, options), every=every))
    return 0


def networks(context: Context, options: Options) -> int:
    """Remove unused networks."""
    warning = "This will remove all custom networks not used by at least one container."
    if _confirmed(context, options, warning):
        prune_networks(context, _filters(context, options))
    return 0


def volumes(context: Context, options: Options) -> int:
    """Remove unused volumes."""
    every = options.on("all")
    kind = "all" if every else "anonymous"
    warning = f"This will remove {kind} local volumes not used by at least one container."
    if _confirmed(context, options, warning):
        _total(context, prune_volumes(context, _filters(context, options), every=every))
    return 0


def builder(context: Context, options: Options) -> int:
    """Remove build cache."""
    every = options.on("all")
    warning = f"This will remove all {'' if every else 'dangling '}build cache."
    if options.on("force") or context.confirm(f"WARNING! {warning} {QUESTION}"):
        filters = as_query(options.items("filter"))
        _total(
            context, prune_cache(context, filters, every=every, keep=options.number("keep-storage"))
        )
    return 0


def _system_warning(options: Options, filters: Filters) -> str:
    every = options.on("all")
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if options.on("volumes"):
        lines.append("all anonymous volumes not used by at least one container")
    if every:
        lines += ["all images without at least one container associated to them", "all build cache"]
    else:
        lines += ["all dangling images", "unused build cache"]
    text = "This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    if filters:
        shown = (f"{key}={value}" for key in sorted(filters) for value in filters[key])
        text += "\n  Items to be pruned will be filtered with:\n"
        text += "".join(f"  - {item}\n" for item in shown)
    return text


def system(context: Context, options: Options) -> int:
    """Remove everything that is unused."""
    filters = _filters(context, options)
    if options.on("volumes") and "until" in filters:
        raise CliError('ERROR: The "until" filter is not supported with "--volumes"')
    if not _confirmed(context, options, _system_warning(options, filters)):
        return 0
    every = options.on("all")
    reclaimed = prune_containers(context, filters) + prune_networks(context, filters)
    if options.on("volumes"):
        reclaimed += prune_volumes(context, filters, every=False)
    reclaimed += prune_images(context, filters, every=every)
    if "label" not in filters:
        reclaimed += _prune_cache_if_any(context, filters, every=every)
    _total(context, reclaimed)
    return 0


def _prune_cache_if_any(context: Context, filters: Filters, *, every: bool) -> int:
    """Remove build cache; a daemon that has no builder has none."""
    try:
        return prune_cache(context, filters, every=every)
    except ApiError as error:
        if error.http_status != NOT_IMPLEMENTED:
            raise
        return 0


COMMANDS = {
    "container prune": Command(
        "container prune",
        "[OPTIONS]",
        "Remove all stopped containers",
        containers,
        flags=(FILTER_FLAG, FORCE_FLAG),
        about="Filters are until and label.",
    ),
    "image prune": Command(
        "image prune",
        "[OPTIONS]",
        "Remove unused images",
        images,
        flags=(
            Flag(
                "all", "a", BOOL, "All images that no container uses, not only those without a name"
            ),
            FILTER_FLAG,
            FORCE_FLAG,
        ),
        about="Filters are until and label.",
        examples=(
            ("image prune -a --filter until=720h", "what is older than a month and not used"),
        ),
    ),
    "network prune": Command(
        "network prune",
        "[OPTIONS]",
        "Remove all unused networks",
        networks,
        flags=(FILTER_FLAG, FORCE_FLAG),
        about="Filters are until and label.",
    ),
    "volume prune": Command(
        "volume prune",
        "[OPTIONS]",
        "Remove unused local volumes",
        volumes,
        flags=(
            Flag(
                "all", "a", BOOL, "All unused volumes, not only those without a name of their own"
            ),
            FILTER_FLAG,
            FORCE_FLAG,
        ),
        about="What is in the volumes is lost. The filter is label.",
    ),
    "builder prune": Command(
        "builder prune",
        "[OPTIONS]",
        "Remove build cache",
        builder,
        flags=(
            Flag("all", "a", BOOL, "All unused build cache, not only what is dangling"),
            FILTER_FLAG,
            FORCE_FLAG,
            Flag("keep-storage", "", SIZE, "Bytes of cache to keep"),
        ),
        about="The cache is what RUN --mount=type=cache keeps from build to build, the longest "
        "unused first. The images of steps, from which a build goes on, go with `lading image "
        "prune`. Filters are until, id, type, description, inuse and private.",
        examples=(
            ("builder prune --filter until=72h", "what no build used for three days"),
            ("builder prune --keep-storage 2g", "all but two gigabytes"),
        ),
    ),
    "system prune": Command(
        "system prune",
        "[OPTIONS]",
        "Remove unused data",
        system,
        flags=(
            Flag(
                "all", "a", BOOL, "All images that no container uses, not only those without a name"
            ),
            FILTER_FLAG,
            FORCE_FLAG,
            Flag("volumes", "", BOOL, "Anonymous volumes, too"),
        ),
        about="Containers that do not run, networks without containers, images without a name, "
        "build cache.",
    ),
}
