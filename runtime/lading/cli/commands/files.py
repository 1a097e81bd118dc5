"""`lading diff` and `lading export`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.flags import Flag, Options
from lading.cli.kinds import STRING
from lading.cli.output import Output

KINDS = ("C", "A", "D")


def diff(context: Context, options: Options) -> int:
    """Show what changed in a container's file system since it was made."""
    for change in context.client.get(f"/containers/{options.args[0]}/changes") or ():
        context.out(f"{KINDS[change['Kind']]} {change['Path']}\n")
    return 0


def export(context: Context, options: Options) -> int:
    """Write a container's file system as a tar archive."""
    with Output(context, options.text("output"), what="export container") as output:
        response = context.client.request("GET", f"/containers/{options.args[0]}/export")
        for data in response.parts():
            output.write(data)
    return 0


COMMANDS = {
    "diff": Command(
        "diff",
        "CONTAINER",
        "Inspect changes to files or directories on a container's filesystem",
        diff,
        arguments=(1, 1),
        about="A for what was added, C for what was changed, D for what was deleted, compared with "
        "the image.",
    ),
    "export": Command(
        "export",
        "[OPTIONS] CONTAINER",
        "Export a container's filesystem as a tar archive",
        export,
        arguments=(1, 1),
        flags=(Flag("output", "o", STRING, "File to write to, instead of stdout"),),
        about="Volumes are not part of it. `lading import` makes an image of such an archive.",
        examples=(("export -o web.tar web", "into a file"),),
    ),
}
