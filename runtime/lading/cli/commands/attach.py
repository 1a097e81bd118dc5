"""`lading attach`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRING
from lading.cli.session import Session, check_terminal, detach_keys


def attach(context: Context, options: Options) -> int:
    """Stay with a running container and end with its exit status."""
    details = context.client.get(f"/containers/{options.args[0]}/json")
    state, config = details["State"], details["Config"]
    if not state.get("Running"):
        raise CliError("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise CliError("You cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise CliError("You cannot attach to a restarting container, wait until it is running")
    container, tty = details["Id"], bool(config.get("Tty"))
    stdin = not options.on("no-stdin") and bool(config.get("OpenStdin"))
    check_terminal(stdin=stdin, tty=tty)
    keys = detach_keys(context, options.text("detach-keys"))
    query = {
        "stream": True,
        "stdin": stdin,
        "stdout": True,
        "stderr": True,
        "detachKeys": options.text("detach-keys"),
    }
    with Session(context, tty=tty, resize_path=f"/containers/{container}/resize") as session:
        session.catch_signals(container if options.on("sig-proxy") and not tty else "")
        waiting = context.client.request("POST", f"/containers/{container}/wait")
        hijacked = context.client.hijack(f"/containers/{container}/attach", query)
        session.connect(hijacked, stdin=stdin, keys=keys)
        session.redraw()
        if session.stream():
            raise CliError("read escape sequence")
        return session.status(waiting)


COMMANDS = {
    "attach": Command(
        "attach",
        "[OPTIONS] CONTAINER",
        "Attach local standard input, output, and error streams to a running container",
        attach,
        arguments=(1, 1),
        flags=(
            Flag("detach-keys", "", STRING, "Keys that leave the container running"),
            Flag("no-stdin", "", BOOL, "Do not pass our stdin"),
            Flag("sig-proxy", "", BOOL, "Pass signals on to the process", default=True),
        ),
        about="As if the container had been run in the foreground from here; several may be "
        "attached at once. In a terminal, ctrl-p ctrl-q leaves the container running.",
        examples=(("attach --sig-proxy=false web", "watch it; ctrl-c leaves"),),
    ),
}
