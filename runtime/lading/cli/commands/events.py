"""`lading events`."""

from __future__ import annotations

import time

from lading.cli import fastjson
from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.filters import FILTER_FLAG, as_query
from lading.cli.flags import Flag, Options
from lading.cli.kinds import STRING
from lading.cli.moments import show_local_nanoseconds, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _plain(event: dict[str, Any]) -> str:
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{k}={v}" for k, v in sorted((actor.get("Attributes") or {}).items()))
    moment = show_local_nanoseconds(event.get("timeNano") or event.get("time", 0) * 10**9)
    moment = moment.replace("+00:00", "Z")
    text = f"{moment} {event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    return f"{text} ({attributes})" if attributes else text


def _writer(template: str) -> Callable[[dict[str, Any]], str]:
    if not template:
        return _plain
    if template == "json":
        return fastjson.dumps
    from lading.cli.format.docker import compile_template
    from lading.cli.format.evaluate import execute
    from lading.cli.format.lexer import TemplateError
    from lading.cli.format.schema import type_of

    try:
        tree = compile_template(template)
    except TemplateError as error:
        raise CliError(f"Error parsing format: {error}", 64) from None
    message = type_of("*events.Message")

    def write(event: dict[str, Any]) -> str:
        try:
            return execute(tree, message.decode(event))
        except TemplateError as error:
            raise CliError(f"Error parsing format: {error}", 64) from None

    return write


def _moment(options: Options, name: str) -> str:
    try:
        return timestamp(options.text(name), time.time()) if options.text(name) else ""
    except ValueError as error:
        raise CliError(str(error)) from None


def events(context: Context, options: Options) -> int:
    """Show events as they come, or those of a time that is over."""
    write = _writer(options.text("format"))
    query = {
        "since": _moment(options, "since"),
        "until": _moment(options, "until"),
        "filters": as_query(options.items("filter")),
    }
    for event in context.client.request("GET", "/events", query).values():
        context.out(write(event) + "\n")
    return 0


COMMANDS = {
    "events": Command(
        "events",
        "[OPTIONS]",
        "Get real time events from the server",
        events,
        flags=(
            FILTER_FLAG,
            Flag("format", "", STRING, "'json', or a Go template such as '{{.Type}}'"),
            Flag("since", "", STRING, "Begin at a time, or so long ago, such as 10m"),
            Flag("until", "", STRING, "End at a time, or so long ago"),
        ),
        about="One line for each thing that happens to a container, image, network or volume. "
        "Filters are container, event, image, label, network, type, volume, scope and "
        "daemon.",
        examples=(
            ("events --since 1h --until 0s", "the last hour"),
            (
                "events -f type=container -f event=die --format '{{.Actor.Attributes.name}}'",
                "names of containers that end",
            ),
        ),
    ),
}
