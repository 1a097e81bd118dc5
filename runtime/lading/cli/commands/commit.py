"""`lading commit`."""

from __future__ import annotations

from lading.cli import references
from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, LIST, STRING


def commit(context: Context, options: Options) -> int:
    """Make an image of a container's changes and show its id."""
    query: dict[str, object] = {
        "container": options.args[0],
        "comment": options.text("message"),
        "author": options.text("author"),
        "changes": options.items("change"),
        "pause": "1" if options.on("pause") else "0",
    }
    if len(options.args) > 1:
        name = references.parse(options.args[1]).with_default_tag()
        if name.digest:
            raise CliError("refusing to create a tag with a digest reference")
        query.update(repo=name.familiar, tag=name.tag)
    context.out(context.client.post("/commit", query)["Id"] + "\n")
    return 0


COMMANDS = {
    "commit": Command(
        "commit",
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        "Create a new image from a container's changes",
        commit,
        arguments=(1, 2),
        flags=(
            Flag("author", "a", STRING, "Author, such as 'Ada <ada@example.com>'"),
            Flag("change", "c", LIST, "Dockerfile instruction to apply, such as 'CMD [\"sh\"]'"),
            Flag("message", "m", STRING, "What the change is about"),
            Flag("pause", "p", BOOL, "Pause the container meanwhile", default=True),
        ),
        about="The new image is the container's one with one more layer. What is in volumes is not "
        "part of it.",
        examples=(("commit -c 'ENV DEBUG=1' web web:debug", "with another variable"),),
    ),
}
