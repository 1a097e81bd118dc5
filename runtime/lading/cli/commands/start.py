"""`lading start`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.commands.run import ask_status
from lading.cli.failures import ApiError, CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRING
from lading.cli.session import Session, check_terminal, detach_keys


def start(context: Context, options: Options) -> int:
    """Start containers, or one of them and stay with it."""
    if options.on("attach") or options.on("interactive"):
        return _start_and_stay(context, options)
    failed: list[str] = []
    for name in options.args:
        try:
            context.client.post(f"/containers/{name}/start")
        except ApiError as error:
            context.error(f"{error}\n")
            failed.append(name)
        else:
            context.out(f"{name}\n")
    if failed:
        raise CliError(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _start_and_stay(context: Context, options: Options) -> int:
    if len(options.args) > 1:
        raise CliError("you cannot start and attach multiple containers at once")
    details = context.client.get(f"/containers/{options.args[0]}/json")
    container, config = details["Id"], details["Config"]
    tty = bool(config.get("Tty"))
    stdin = options.on("interactive") and bool(config.get("OpenStdin"))
    check_terminal(stdin=options.on("interactive"), tty=tty)
    keys = detach_keys(context, options.text("detach-keys"))
    query = {
        "stream": True,
        "stdin": stdin,
        "stdout": True,
        "stderr": True,
        "detachKeys": options.text("detach-keys"),
    }
    removed = bool(details["HostConfig"].get("AutoRemove"))
    with Session(context, tty=tty, resize_path=f"/containers/{container}/resize") as session:
        session.catch_signals(container if options.on("sig-proxy") and not tty else "")
        hijacked = context.client.hijack(f"/containers/{container}/attach", query)
        session.connect(hijacked, stdin=stdin, keys=keys)
        waiting = ask_status(context, container, removed=removed)
        try:
            context.client.post(f"/containers/{container}/start")
        except ApiError:
            if removed:
                waiting.read()
            raise
        session.resize()
        if session.stream():
            return 0
        return session.status(waiting)


COMMANDS = {
    "start": Command(
        "start",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        "Start one or more stopped containers",
        start,
        arguments=(1, None),
        flags=(
            Flag("attach", "a", BOOL, "Stay with the container: show its output, pass signals on"),
            Flag("interactive", "i", BOOL, "Pass our stdin to the container, too"),
            Flag("detach-keys", "", STRING, "Keys that leave the container running"),
            Flag("sig-proxy", "", BOOL, "Pass signals on", default=True, hidden=True),
        ),
        about="A container that has ended starts again with its file system as it left it.",
        examples=(("start -ai shell", "back into a container that was left"),),
    ),
}
