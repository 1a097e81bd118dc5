"""`lading logs`."""

from __future__ import annotations

import time

from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRING
from lading.cli.moments import timestamp
from lading.cli.streams import Demultiplexer, write_stream


def moment(options: Options, name: str) -> str:
    """Read a point in time that an option gives; raises CliError."""
    text = options.text(name)
    try:
        return timestamp(text, time.time()) if text else ""
    except ValueError as error:
        raise CliError(f'invalid value for "{name}": {error}') from None


def logs(context: Context, options: Options) -> int:
    """Show what a container has written, and what it writes from now on if that is asked for."""
    since, until = moment(options, "since"), moment(options, "until")
    details = context.client.get(f"/containers/{options.args[0]}/json")
    query = {
        "stdout": True,
        "stderr": True,
        "since": since,
        "until": until,
        "timestamps": options.on("timestamps"),
        "follow": options.on("follow"),
        "tail": options.text("tail"),
        "details": options.on("details"),
    }
    response = context.client.request("GET", f"/containers/{details['Id']}/logs", query)
    feed = Demultiplexer(write_stream).feed
    for data in response.parts():
        if details["Config"].get("Tty"):
            context.out(data)
        else:
            feed(data)
    return 0


COMMANDS = {
    "logs": Command(
        "logs",
        "[OPTIONS] CONTAINER",
        "Fetch the logs of a container",
        logs,
        arguments=(1, 1),
        flags=(
            Flag("details", "", BOOL, "Show the attributes that log options add"),
            Flag("follow", "f", BOOL, "Go on showing what comes"),
            Flag(
                "since",
                "",
                STRING,
                "Begin at a time, such as 2024-01-02T13:23:37Z, or so long ago, such as 42m",
            ),
            Flag("until", "", STRING, "End at a time, or so long ago"),
            Flag("tail", "n", STRING, "Number of lines to show from the end", default="all"),
            Flag("timestamps", "t", BOOL, "Show when each line was written"),
        ),
        about="What the container wrote to stdout goes to ours, what it wrote to stderr goes to "
        "ours.",
        examples=(
            ("logs -f --tail 10 web", "the last ten lines and all that follow"),
            ("logs --since 1h --until 30m web", "half an hour of the last hour"),
        ),
    ),
}
