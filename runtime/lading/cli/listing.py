"""Listings: the same rows as a table, as JSON, as ids only, or through a template of the user's."""

from __future__ import annotations

import time

from lading.cli import fastjson, tables
from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from lading.cli.command import Context
    from lading.cli.flags import Options
    from lading.cli.format.values import Row

    Getter = Callable[[Any, "View"], object]

NO_VALUE = "<none>"


class Column:
    """One value of a row: its name in templates, its header in tables, how it is made.

    `shrinks` says that a terminal that is too narrow may have it cut.
    """

    __slots__ = ("get", "header", "name", "shrinks")

    def __init__(self, name: str, header: str, get: Getter, *, shrinks: bool = False) -> None:
        self.name = name
        self.header = header
        self.get = get
        self.shrinks = shrinks


class Listing:
    """A kind of listing: the Go type of its rows, its columns, its raw formats if it has them."""

    __slots__ = ("columns", "key", "raw", "raw_quiet", "type_name")

    def __init__(
        self,
        type_name: str,
        columns: tuple[Column, ...],
        *,
        key: str = "ID",
        raw: str = "",
        raw_quiet: str = "",
    ) -> None:
        self.type_name = type_name
        self.columns = {column.name: column for column in columns}
        self.key = key
        self.raw = raw
        self.raw_quiet = raw_quiet


class View:
    """How rows are to be shown: shortened or not, and the time that ages are counted from."""

    __slots__ = ("now", "trunc")

    def __init__(self, *, trunc: bool = True) -> None:
        self.trunc = trunc
        self.now = time.time()


def view_of(options: Options) -> View:
    """Make the view that `--no-trunc` asks for."""
    return View(trunc=not options.on("no-trunc"))


def choose_template(context: Context, options: Options, config_key: str = "") -> str:
    """Give the template of `--format`, or the user's default one if only ids are not asked for."""
    template = options.text("format")
    if not template and config_key and not ("quiet" in options and options.on("quiet")):
        template = context.config.text(config_key)
    return template


def show(
    context: Context,
    listing: Listing,
    items: Sequence[Any],
    table: Sequence[str],
    *,
    view: View,
    template: str = "",
    quiet: bool = False,
) -> None:
    """Write rows to stdout: `table` names the columns of the table that is the default."""
    context.out(
        render(
            listing, items, table, view=view, template=template, quiet=quiet, width=context.width()
        )
    )


def render(
    listing: Listing,
    items: Sequence[Any],
    table: Sequence[str],
    *,
    view: View,
    template: str = "",
    quiet: bool = False,
    width: int | None = None,
) -> str:
    """Make the text of a listing; raises CliError for a template that is wrong."""
    if template in ("", "table"):
        if quiet:
            key = listing.columns[listing.key]
            return "".join(f"{key.get(item, view)}\n" for item in items)
        columns = [listing.columns[name] for name in table]
        rows = [[column.header for column in columns]]
        rows += [[_cell(column.get(item, view)) for column in columns] for item in items]
        shrinkable = [column.shrinks for column in columns]
        return tables.table(rows, shrinkable, width if view.trunc else None)
    if template == "json":
        return "".join(json_line(listing, item, view) + "\n" for item in items)
    if template == "raw" and listing.raw:
        template = listing.raw_quiet if quiet else listing.raw
    return _templated(listing, items, view, template)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("\t", " ").replace("\n", " ")


def json_line(listing: Listing, item: object, view: View) -> str:
    """Make one row's JSON, its values in the order of their names."""
    values = {name: listing.columns[name].get(item, view) for name in sorted(listing.columns)}
    plain = {k: v for k, v in values.items() if v is None or isinstance(v, str | int | bool)}
    return escape_html(fastjson.dumps(plain))


def escape_html(text: str) -> str:
    """Escape what Go's encoding/json escapes for the sake of HTML."""
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def row_of(listing: Listing, item: object, view: View) -> Row:
    """Make what a template sees of an item; values are made when the template asks for them."""
    from lading.cli.format.values import Row

    def getter(column: Column) -> Callable[[], object]:
        return lambda: column.get(item, view)

    return Row(listing.type_name, {c.name: getter(c) for c in listing.columns.values()})


def _templated(listing: Listing, items: Sequence[Any], view: View, template: str) -> str:
    from lading.cli.format.docker import execute_rows
    from lading.cli.format.lexer import TemplateError

    headers = {column.name: column.header for column in listing.columns.values()}
    try:
        return execute_rows(template, headers, [row_of(listing, item, view) for item in items])
    except TemplateError as error:
        raise CliError(str(error)) from None


def short_id(text: str) -> str:
    """Cut an id to the twelve digits that are enough to tell it from others."""
    return text.removeprefix("sha256:")[:12]


def shown_id(text: str, view: View) -> str:
    """Give an id, short unless the view is not truncated."""
    return short_id(text) if view.trunc else text


def ellipsis(text: str, limit: int) -> str:
    """Cut text to a number of characters, the last of which then is an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def labels_text(labels: dict[str, str] | None) -> str:
    """Write labels as `a=b,c=d`, sorted."""
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items()))


def label_method(labels: dict[str, str] | None) -> object:
    """Make the method behind `{{.Label "name"}}`."""
    from lading.cli.format.values import Method

    return Method(lambda name: (labels or {}).get(name, ""))
