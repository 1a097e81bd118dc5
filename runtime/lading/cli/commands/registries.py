"""`lading pull`, `lading push` and `lading search`."""

from __future__ import annotations

from lading.cli import references
from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.filters import FILTER_FLAG, as_query
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, INT, STRING
from lading.cli.listing import Column, Listing, View, ellipsis, show, view_of
from lading.cli.platforms import as_json
from lading.cli.progress import follow
from lading.cli.pulling import auth_header
from lading.cli.pulling import pull as pull_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DESCRIPTION_WIDTH = 45


def pull(context: Context, options: Options) -> int:
    """Pull an image."""
    reference = references.parse(options.args[0])
    every, quiet = options.on("all-tags"), options.on("quiet")
    if every and (reference.tag or reference.digest):
        raise CliError("tag can't be used with --all-tags/-a")
    if not every and not reference.tag and not reference.digest:
        reference = reference.with_default_tag()
        if not quiet:
            context.out(f"Using default tag: {reference.tag}\n")
    pull_image(
        context, options.args[0], platform=options.text("platform"), quiet=quiet, all_tags=every
    )
    full = f"{reference.domain}/{reference.path}"
    suffix = f"@{reference.digest}" if reference.digest else f":{reference.tag}"
    context.out(full + ("" if every else suffix) + "\n")
    return 0


def push(context: Context, options: Options) -> int:
    """Push an image."""
    reference = references.parse(options.args[0])
    every, quiet = options.on("all-tags"), options.on("quiet")
    if every and reference.tag:
        raise CliError("tag can't be used with --all-tags/-a")
    if not every and not reference.tag:
        reference = reference.with_default_tag()
        if not quiet:
            context.out(f"Using default tag: {reference.tag}\n")
    query: dict[str, Any] = {"tag": "" if every else reference.tag}
    if platform := options.text("platform"):
        query["platform"] = as_json(platform)
    response = context.client.request(
        "POST",
        f"/images/{reference.familiar}/push",
        query,
        headers=auth_header(context, reference.domain),
    )
    follow(context, response.values(), quiet=quiet)
    if quiet:
        context.out(f"{reference.domain}/{reference.path}:{reference.tag}\n")
    return 0


def _description(result: dict[str, Any], view: View) -> str:
    text = result.get("description", "").replace("\n", " ").replace("\r", " ")
    return ellipsis(text, DESCRIPTION_WIDTH) if view.trunc else text


RESULTS = Listing(
    "*formatter.searchContext",
    (
        Column("Name", "NAME", lambda r, _: r.get("name", "")),
        Column("Description", "DESCRIPTION", _description, shrinks=True),
        Column("StarCount", "STARS", lambda r, _: str(r.get("star_count", 0))),
        Column("IsOfficial", "OFFICIAL", lambda r, _: "[OK]" if r.get("is_official") else ""),
        Column("IsAutomated", "AUTOMATED", lambda _r, _: ""),
    ),
    key="Name",
)


def search(context: Context, options: Options) -> int:
    """Search a registry for images."""
    term = options.args[0]
    domain = term.partition("/")[0] if "." in term.partition("/")[0] and "/" in term else ""
    query = {
        "term": term,
        "limit": options.number("limit") or None,
        "filters": as_query(options.items("filter")),
    }
    found = context.client.json(
        "GET", "/images/search", query, headers=auth_header(context, domain)
    )
    table = ("Name", "Description", "StarCount", "IsOfficial")
    show(
        context, RESULTS, found or [], table, view=view_of(options), template=options.text("format")
    )
    return 0


TRUST_FLAG = Flag(
    "disable-content-trust", "", BOOL, "Accepted for compatibility", default=True, hidden=True
)

COMMANDS = {
    "pull": Command(
        "pull",
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        "Download an image from a registry",
        pull,
        arguments=(1, 1),
        flags=(
            Flag("all-tags", "a", BOOL, "All tags of the repository"),
            TRUST_FLAG,
            Flag("platform", "", STRING, "Platform to pull: os/arch[/variant]"),
            Flag("quiet", "q", BOOL, "Show the name only"),
        ),
        about="Without a registry in its name, the image comes from Docker Hub. Layers that are "
        "here already are not downloaded again.",
        examples=(
            ("pull debian:12", "a tag"),
            ("pull localhost:5000/web", "from a registry on this machine"),
        ),
    ),
    "push": Command(
        "push",
        "[OPTIONS] NAME[:TAG]",
        "Upload an image to a registry",
        push,
        arguments=(1, 1),
        flags=(
            Flag("all-tags", "a", BOOL, "All tags of the repository"),
            TRUST_FLAG,
            Flag("platform", "", STRING, "Push one platform's manifest only: os[/arch[/variant]]"),
            Flag("quiet", "q", BOOL, "Show the name only"),
        ),
        about="The registry is the one in the image's name; `lading tag` gives an image such a "
        "name, `lading login` takes the credentials.",
        examples=(("push registry.example.com/team/web:1.2", "after: lading tag web registry.…"),),
    ),
    "search": Command(
        "search",
        "[OPTIONS] TERM",
        "Search Docker Hub for images",
        search,
        arguments=(1, 1),
        flags=(
            FILTER_FLAG,
            Flag("format", "", STRING, "A Go template for each result"),
            Flag("limit", "", INT, "Greatest number of results"),
            Flag("no-trunc", "", BOOL, "Show descriptions in full"),
        ),
        about="Filters are is-official and stars.",
        examples=(("search --filter is-official=true nginx", "official images only"),),
    ),
}
