"""`lading history`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.filters import FORMAT_FLAG
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRING
from lading.cli.listing import Column, Listing, View, ellipsis, show, shown_id
from lading.cli.moments import show_local
from lading.cli.platforms import as_json
from lading.cli.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CREATED_BY_WIDTH = 45
#: Steps that say they are older than this have no date worth showing.
YEAR_2000 = 946_684_800


class _HistoryView(View):
    """A view that also knows whether sizes and dates are for people."""

    __slots__ = ("human",)

    def __init__(self, *, trunc: bool, human: bool) -> None:
        super().__init__(trunc=trunc)
        self.human = human


def _created_by(step: dict[str, Any], view: View) -> str:
    text = step.get("CreatedBy", "").replace("\t", " ")
    return ellipsis(text, CREATED_BY_WIDTH) if view.trunc else text


def _age(step: dict[str, Any], view: Any) -> str:
    if not view.human:
        return show_local(step.get("Created", 0))
    created = step.get("Created", 0)
    return human_duration(view.now - created) + " ago" if created > YEAR_2000 else "N/A"


def _size(step: dict[str, Any], view: Any) -> str:
    size = step.get("Size", 0)
    return human_size(size) if view.human else str(size)


def _columns(created_header: str) -> tuple[Column, ...]:
    return (
        Column("ID", "IMAGE", lambda s, v: shown_id(s.get("Id", ""), v)),
        Column("CreatedSince", created_header, _age),
        Column("CreatedAt", "CREATED AT", lambda s, _: show_local(s.get("Created", 0))),
        Column("CreatedBy", "CREATED BY", _created_by, shrinks=True),
        Column("Size", "SIZE", _size),
        Column("Comment", "COMMENT", lambda s, _: s.get("Comment", ""), shrinks=True),
    )


def history(context: Context, options: Options) -> int:
    """Show how an image came to be, newest step first."""
    platform = options.text("platform")
    query = {"platform": as_json(platform) if platform else ""}
    steps = context.client.get(f"/images/{options.args[0]}/history", query) or []
    human = options.on("human")
    view = _HistoryView(trunc=not options.on("no-trunc"), human=human)
    listing = Listing("*image.historyContext", _columns("CREATED" if human else "CREATED AT"))
    show(
        context,
        listing,
        steps,
        ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
        view=view,
        template=options.text("format"),
        quiet=options.on("quiet"),
    )
    return 0


COMMANDS = {
    "history": Command(
        "history",
        "[OPTIONS] IMAGE",
        "Show the history of an image",
        history,
        arguments=(1, 1),
        flags=(
            FORMAT_FLAG,
            Flag("human", "H", BOOL, "Show sizes and dates for people", default=True),
            Flag("no-trunc", "", BOOL, "Show instructions in full"),
            Flag("platform", "", STRING, "Platform to show: os[/arch[/variant]]"),
            Flag("quiet", "q", BOOL, "Show ids only"),
        ),
        about="One line for each instruction that the image was built with, the last one first, "
        "with the size of the layer it made.",
        examples=(("history --no-trunc nginx", "the whole instructions"),),
    ),
}
