"""`lading exec`."""

from __future__ import annotations

from lading.cli import terminal
from lading.cli.command import STDOUT, Command, Context
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, LIST, STRING, listing
from lading.cli.options import checks
from lading.cli.options.files import read_variables
from lading.cli.session import Session, check_terminal, detach_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _body(options: Options, keys: str) -> dict[str, Any]:
    variables: list[str] = []
    try:
        for path in options.items("env-file"):
            variables += read_variables(path, environment=True)
    except ValueError as error:
        raise CliError(str(error)) from None
    attached = not options.on("detach")
    body = {
        "User": options.text("user"),
        "Privileged": options.on("privileged"),
        "Tty": options.on("tty"),
        "AttachStdin": attached and options.on("interactive"),
        "AttachStdout": attached,
        "AttachStderr": attached,
        "DetachKeys": keys,
        "Env": variables + options.items("env"),
        "WorkingDir": options.text("workdir"),
        "Cmd": options.args[1:],
    }
    size = terminal.size(STDOUT)
    if options.on("tty") and size:
        body["ConsoleSize"] = list(size)
    return {key: value for key, value in body.items() if value not in ("", False, [])}


def execute(context: Context, options: Options) -> int:
    """Run a command in a running container and end with its exit status."""
    container = options.args[0]
    tty, stdin = options.on("tty"), options.on("interactive") and not options.on("detach")
    check_terminal(stdin=stdin, tty=tty)
    keys = detach_keys(context, options.text("detach-keys"))
    body = _body(options, options.text("detach-keys"))
    created = context.client.post(f"/containers/{container}/exec", body=body)["Id"]
    start: dict[str, Any] = {"Detach": options.on("detach"), "Tty": tty}
    if options.on("detach"):
        context.client.post(f"/exec/{created}/start", body=start)
        return 0
    if "ConsoleSize" in body:
        start["ConsoleSize"] = body["ConsoleSize"]
    with Session(context, tty=tty, resize_path=f"/exec/{created}/resize") as session:
        session.catch_signals("")
        hijacked = context.client.hijack(f"/exec/{created}/start", body=start)
        session.connect(hijacked, stdin=stdin, keys=keys)
        session.resize()
        if session.stream():
            raise CliError("read escape sequence")
    return int(context.client.get(f"/exec/{created}/json").get("ExitCode") or 0)


COMMANDS = {
    "exec": Command(
        "exec",
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        "Execute a command in a running container",
        execute,
        arguments=(2, None),
        interspersed=False,
        flags=(
            Flag("detach", "d", BOOL, "Run it in the background"),
            Flag("detach-keys", "", STRING, "Keys that leave it running"),
            Flag("env", "e", listing("list", checks.env), "Set a variable"),
            Flag("env-file", "", LIST, "Read variables from a file"),
            Flag("interactive", "i", BOOL, "Pass our stdin"),
            Flag("privileged", "", BOOL, "Give it all capabilities"),
            Flag("tty", "t", BOOL, "Give it a terminal"),
            Flag("user", "u", STRING, "User to run as: name or uid, and group after a colon"),
            Flag("workdir", "w", STRING, "Directory to start in"),
        ),
        about="The command gets the container's namespaces, limits and variables. Its exit status "
        "becomes that of lading: 126 if it cannot be executed, 127 if there is no such "
        "command.",
        examples=(
            ("exec -it web sh", "a shell in a running container"),
            ("exec -u 0 web apt-get update", "as root, whoever the container runs as"),
        ),
    ),
}
