"""`--filter` on the command line, and as the API wants it."""

from __future__ import annotations

from lading.cli.flags import Flag
from lading.cli.kinds import FILTER, STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FILTER_FLAG = Flag("filter", "f", FILTER, "Show only what fits: key=value; may be repeated")
FORMAT_FLAG = Flag(
    "format", "", STRING, "'table', 'table TEMPLATE', 'json', or a Go template such as '{{.ID}}'"
)
INSPECT_FORMAT_FLAG = Flag("format", "f", STRING, "'json', or a Go template such as '{{.ID}}'")


def as_query(filters: Iterable[str]) -> dict[str, dict[str, bool]]:
    """Make `{"status": {"running": true}}` of `status=running`."""
    found: dict[str, dict[str, bool]] = {}
    for text in filters:
        if text:
            key, _, value = text.partition("=")
            found.setdefault(key, {})[value] = True
    return found
