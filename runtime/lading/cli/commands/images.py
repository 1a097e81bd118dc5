"""`lading images`, `lading rmi` and `lading tag`."""

from __future__ import annotations

from lading.cli import references
from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.filters import FILTER_FLAG, FORMAT_FLAG, as_query
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRINGS
from lading.cli.listing import (
    NO_VALUE,
    Column,
    Listing,
    View,
    choose_template,
    show,
    shown_id,
    view_of,
)
from lading.cli.moments import show_utc
from lading.cli.platforms import as_json
from lading.cli.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RAW = """repository: {{.Repository}}
tag: {{.Tag}}
image_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}
"""


class ImageRow:
    """An image under one of its names."""

    __slots__ = ("digest", "image", "repository", "tag")

    def __init__(
        self,
        image: dict[str, Any],
        repository: str = NO_VALUE,
        tag: str = NO_VALUE,
        digest: str = NO_VALUE,
    ) -> None:
        self.image = image
        self.repository = repository
        self.tag = tag
        self.digest = digest


def _size_or_nothing(size: int) -> str:
    return "N/A" if size == -1 else human_size(size, 4)


def _count(image: dict[str, Any]) -> str:
    count = image.get("Containers", 0)
    return "N/A" if count == -1 else str(count)


def _unique(row: ImageRow, _view: View) -> str:
    size, shared = row.image.get("Size", 0), row.image.get("SharedSize", 0)
    return "N/A" if shared == -1 or size == -1 else human_size(size - shared, 4)


def _age(row: ImageRow, view: View) -> str:
    return human_duration(view.now - row.image.get("Created", 0)) + " ago"


IMAGES = Listing(
    "*formatter.imageContext",
    (
        Column("ID", "IMAGE ID", lambda r, v: shown_id(r.image["Id"], v)),
        Column("Repository", "REPOSITORY", lambda r, _: r.repository, shrinks=True),
        Column("Tag", "TAG", lambda r, _: r.tag, shrinks=True),
        Column("Digest", "DIGEST", lambda r, _: r.digest, shrinks=True),
        Column("CreatedSince", "CREATED", _age),
        Column("CreatedAt", "CREATED AT", lambda r, _: show_utc(r.image.get("Created", 0))),
        Column("Size", "SIZE", lambda r, _: human_size(r.image.get("Size", 0))),
        Column("Containers", "CONTAINERS", lambda r, _: _count(r.image)),
        Column("VirtualSize", "SIZE", lambda r, _: human_size(r.image.get("Size", 0), 4)),
        Column(
            "SharedSize",
            "SHARED SIZE",
            lambda r, _: _size_or_nothing(r.image.get("SharedSize", 0)),
        ),
        Column("UniqueSize", "UNIQUE SIZE", _unique),
    ),
    raw=RAW,
    raw_quiet="image_id: {{.ID}}",
)


def rows(images: list[dict[str, Any]], *, digests: bool) -> list[ImageRow]:
    """Make a row for each name of each image; an image without a name has one row.

    With `digests`, a repository's digests are shown beside its tags, and those of pulls by digest
    on their own.
    """
    found: list[ImageRow] = []
    for image in images:
        tags = _by_repository(image.get("RepoTags"), ":", f"{NO_VALUE}:{NO_VALUE}")
        known = _by_repository(image.get("RepoDigests"), "@", f"{NO_VALUE}@{NO_VALUE}")
        made: list[ImageRow] = []
        for repository, names in tags.items():
            own = known.pop(repository, []) if digests else [NO_VALUE]
            made += [
                ImageRow(image, repository, tag, d) for tag in names for d in own or [NO_VALUE]
            ]
        if not digests:
            known = {repository: [NO_VALUE] for repository in known if repository not in tags}
        for repository, names in known.items():
            made += [ImageRow(image, repository, NO_VALUE, digest) for digest in names]
        found += made or [ImageRow(image)]
    return found


def _by_repository(names: list[str] | None, mark: str, nothing: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names or ():
        if name != nothing:
            repository, _, rest = name.rpartition(mark)
            found.setdefault(repository, []).append(rest)
    return found


def images(context: Context, options: Options) -> int:
    """List images."""
    filters = options.items("filter")
    if options.args:
        filters = [*filters, f"reference={options.args[0]}"]
    query = {"all": options.on("all"), "filters": as_query(filters)}
    if options.on("tree"):
        from lading.cli.image_tree import show_tree

        return show_tree(context, query, options)
    found = context.client.get("/images/json", query) or []
    template = choose_template(context, options, "imagesFormat")
    digests = options.on("digests") or ".Digest" in template
    table = ["Repository", "Tag", "ID", "CreatedSince", "Size"]
    if options.on("digests"):
        table.insert(2, "Digest")
    show(
        context,
        IMAGES,
        rows(found, digests=digests),
        table,
        view=view_of(options),
        template=template,
        quiet=options.on("quiet"),
    )
    return 0


def rmi(context: Context, options: Options) -> int:
    """Remove images, one after the other; what could not be removed makes the status 1."""
    platforms = [as_json(platform) for platform in options.items("platform")]
    query = {
        "force": options.on("force"),
        "noprune": options.on("no-prune"),
        "platforms": platforms,
    }
    failed = False
    for image in options.args:
        try:
            for step in context.client.delete(f"/images/{image}", query) or ():
                for verb in ("Untagged", "Deleted"):
                    if verb in step:
                        context.out(f"{verb}: {step[verb]}\n")
        except ApiError as error:
            if options.on("force") and error.http_status == 404:
                context.error(f"{error}\n")
                continue
            context.error(f"{error}\n")
            failed = True
    return int(failed)


def tag(context: Context, options: Options) -> int:
    """Give an image another name."""
    source, target = options.args
    try:
        name = references.parse(target)
    except CliError as error:
        complaint = f'"{target}" is not a valid repository/tag: {error}'
        raise CliError(f"Error parsing reference: {complaint}") from None
    if name.digest:
        raise CliError("refusing to create a tag with a digest reference")
    context.client.post(
        f"/images/{source}/tag", {"repo": name.familiar, "tag": name.tag or "latest"}
    )
    return 0


COMMANDS = {
    "images": Command(
        "images",
        "[OPTIONS] [REPOSITORY[:TAG]]",
        "List images",
        images,
        arguments=(0, 1),
        flags=(
            Flag("all", "a", BOOL, "Show intermediate images, too"),
            Flag("digests", "", BOOL, "Show digests"),
            FILTER_FLAG,
            FORMAT_FLAG,
            Flag("no-trunc", "", BOOL, "Show ids in full"),
            Flag("quiet", "q", BOOL, "Show ids only"),
            Flag("tree", "", BOOL, "Show the platforms of each image"),
        ),
        about="An image is listed once for each of its names. Filters are dangling, label, before, "
        "since, until and reference.",
        examples=(
            ("images debian", "all tags of one repository"),
            ("images -q --filter dangling=true", "ids of images without a name"),
        ),
    ),
    "rmi": Command(
        "rmi",
        "[OPTIONS] IMAGE [IMAGE...]",
        "Remove one or more images",
        rmi,
        arguments=(1, None),
        flags=(
            Flag(
                "force",
                "f",
                BOOL,
                "Remove it even if stopped containers use it or it has several names",
            ),
            Flag("no-prune", "", BOOL, "Keep parents that lose their last child"),
            Flag("platform", "", STRINGS, "Remove one platform's variant only: os/arch[/variant]"),
        ),
        about="A name is taken off the image; with its last name, the image and all layers that no "
        "other image uses go.",
        examples=(("rmi web:old", "remove a name, and the image if it was the last one"),),
    ),
    "tag": Command(
        "tag",
        "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
        tag,
        arguments=(2, 2),
        about="The new name may be that of a registry, to push the image to.",
        examples=(("tag web:latest registry.example.com/team/web:1.2", "name it for a push"),),
    ),
}
