"""`lading top`."""

from __future__ import annotations

from lading.cli import tables
from lading.cli.command import Command, Context
from lading.cli.flags import Options

PS_WIDTH = 20


def top(context: Context, options: Options) -> int:
    """Show the processes of a container."""
    query = {"ps_args": " ".join(options.args[1:])}
    answer = context.client.get(f"/containers/{options.args[0]}/top", query)
    rows = [answer["Titles"], *(answer.get("Processes") or [])]
    text = "\n".join("\t".join(row) for row in rows)
    context.out(tables.align(text, minimum=PS_WIDTH) + "\n")
    return 0


COMMANDS = {
    "top": Command(
        "top",
        "CONTAINER [ps OPTIONS]",
        "Display the running processes of a container",
        top,
        arguments=(1, None),
        interspersed=False,
        about="The process ids are those of the host. Options after the container are those of ps.",
        examples=(("top web -o pid,rss,cmd", "columns of your choice"),),
    ),
}
