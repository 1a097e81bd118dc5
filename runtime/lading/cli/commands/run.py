"""`lading run` and `lading create`."""

from __future__ import annotations

from lading.cli import terminal
from lading.cli.command import STDOUT, Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRING
from lading.cli.options.body import make_body
from lading.cli.options.containers import SHARED
from lading.cli.options.files import IdFile
from lading.cli.references import check_image, parse
from lading.cli.session import Session, check_terminal, detach_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lading.cli.client.http import Response

NOT_CREATED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
PULL_POLICIES = ("always", "missing", "never")
_NOT_FOUND_WORDS = (
    "executable file not found",
    "no such file or directory",
    "system cannot find the file specified",
)
_NOT_EXECUTABLE_WORDS = ("permission denied", "is a directory")


def start_status(message: str) -> int:
    """Give the exit status for a failed start: 127 for no program, 126 for one that cannot run."""
    if any(words in message for words in _NOT_FOUND_WORDS):
        return NOT_FOUND
    if any(words in message for words in _NOT_EXECUTABLE_WORDS):
        return NOT_EXECUTABLE
    return NOT_CREATED


def _failure(error: CliError, context: Context, status: int) -> CliError:
    hint = f"Run 'lading {context.command} --help' for more information"
    return CliError(error.message, status, hint=hint, prefixed=True)


def _prepare(context: Context, options: Options) -> dict[str, Any]:
    """Make the body of the create request; raises CliError for options that cannot be."""
    image, *command = options.args
    if options.text("pull") not in PULL_POLICIES:
        raise CliError(
            f"invalid pull option: '{options.text('pull')}': must be one of "
            '"always", "missing" or "never"'
        )
    restart = options.text("restart")
    if options.on("rm") and restart not in ("", "no"):
        raise CliError("conflicting options: cannot specify both --restart and --rm")
    proxies = context.config.proxies(context.client.address.text)
    try:
        body = make_body(options, image, command, proxies)
    except ValueError as error:
        raise CliError(str(error)) from None
    if options.on("use-api-socket"):
        _add_api_socket(context, body)
    return body


def _add_api_socket(context: Context, body: dict[str, Any]) -> None:
    path = context.client.address.path
    if not path:
        raise CliError("flag --use-api-socket can only be used with unix sockets")
    mount = {"Type": "bind", "Source": path, "Target": "/var/run/docker.sock", "BindOptions": {}}
    body["HostConfig"].setdefault("Mounts", []).append(mount)


def create_container(context: Context, options: Options, body: dict[str, Any]) -> str:
    """Create a container, pulling its image if need be, and give its id."""
    check_image(body["Image"])
    if platform := options.text("platform"):
        from lading.cli import platforms

        platforms.parse(platform, "error parsing specified platform")
    id_file = IdFile(options.text("cidfile"))
    try:
        policy = options.text("pull")
        if policy == "always":
            _pull(context, options, body["Image"])
        query = {"name": options.text("name"), "platform": platform}
        try:
            created = context.client.post("/containers/create", query, body=body)
        except ApiError as error:
            if policy != "missing" or not _image_is_missing(error):
                raise
            _announce_pull(context, options, body["Image"])
            _pull(context, options, body["Image"])
            created = context.client.post("/containers/create", query, body=body)
        for warning in created.get("Warnings") or ():
            context.error(f"WARNING: {warning}\n")
        container = str(created["Id"])
        id_file.write(container)
        return container
    finally:
        id_file.close()


def _image_is_missing(error: ApiError) -> bool:
    return error.http_status == 404 and "no such image" in error.reason.lower()


def _announce_pull(context: Context, options: Options, image: str) -> None:
    if not options.on("quiet"):
        context.error(f"Unable to find image '{parse(image).with_default_tag()}' locally\n")


def _pull(context: Context, options: Options, image: str) -> None:
    from lading.cli.pulling import pull

    pull(
        context, image, platform=options.text("platform"), quiet=options.on("quiet"), to_stderr=True
    )


def create(context: Context, options: Options) -> int:
    """Create a container and show its id."""
    try:
        body = _prepare(context, options)
    except CliError as error:
        raise _failure(error, context, NOT_CREATED) from None
    context.out(f"{create_container(context, options, body)}\n")
    return 0


def run(context: Context, options: Options) -> int:
    """Create a container, start it, and stay with it unless told otherwise."""
    return run_watched(context, options, lambda _container: None)


def run_watched(
    context: Context, options: Options, started: Callable[[str], None], *, keep: bool = False
) -> int:
    """Do what `run` does, and call `started` with the container's id once it runs.

    With `keep`, the daemon does not remove the container at its end, whatever `--rm` says.
    """
    detached = options.on("detach")
    if detached and options.given("attach"):
        raise CliError("conflicting options: cannot specify both --attach and --detach")
    try:
        body = _prepare(context, options)
    except CliError as error:
        raise _failure(error, context, NOT_CREATED) from None
    if detached:
        body.update(AttachStdin=False, AttachStdout=False, AttachStderr=False, StdinOnce=False)
    if keep:
        body["HostConfig"]["AutoRemove"] = False
    check_terminal(stdin=bool(body.get("AttachStdin")), tty=options.on("tty"))
    keys = detach_keys(context, options.text("detach-keys"))
    if options.on("tty") and (size := terminal.size(STDOUT)):
        body["HostConfig"]["ConsoleSize"] = list(size)
    try:
        container = create_container(context, options, body)
    except CliError as error:
        raise _failure(error, context, NOT_CREATED) from None
    if detached:
        _start(context, container)
        started(container)
        context.out(f"{container}\n")
        return 0
    return _stay(context, options, container, body, keys, started)


def _start(context: Context, container: str) -> None:
    try:
        context.client.post(f"/containers/{container}/start")
    except CliError as error:
        raise _failure(error, context, start_status(error.message)) from None


def _stay(
    context: Context,
    options: Options,
    container: str,
    body: dict[str, Any],
    keys: bytes,
    started: Callable[[str], None],
) -> int:
    """Attach before the start, so that no output is lost; give the container's exit status."""
    tty, stdin = bool(body.get("Tty")), bool(body.get("AttachStdin"))
    streams = {
        name: bool(body.get(f"Attach{name.title()}")) for name in ("stdin", "stdout", "stderr")
    }
    remove = bool(body["HostConfig"].get("AutoRemove"))
    with Session(context, tty=tty, resize_path=f"/containers/{container}/resize") as session:
        session.catch_signals(container if options.on("sig-proxy") and not tty else "")
        if any(streams.values()):
            query = {"stream": True, **streams, "detachKeys": options.text("detach-keys")}
            hijacked = context.client.hijack(f"/containers/{container}/attach", query)
            session.connect(hijacked, stdin=stdin, keys=keys)
        waiting = ask_status(context, container, removed=remove)
        try:
            _start(context, container)
        except CliError:
            if remove:
                waiting.read()
            raise
        started(container)
        session.resize()
        if session.stream():
            return 0
        if not streams["stdout"] and not streams["stderr"]:
            context.out(f"{container}\n")
            return 0
        return session.status(waiting)


def ask_status(context: Context, container: str, *, removed: bool) -> Response:
    """Ask for the exit status to come.

    The answer's head says that the daemon watches, its body comes at the end.
    """
    condition = "removed" if removed else "next-exit"
    return context.client.request("POST", f"/containers/{container}/wait", {"condition": condition})


RUN_FLAGS = (
    Flag("detach", "d", BOOL, "Run in the background and show the container's id", group="Process"),
    Flag("sig-proxy", "", BOOL, "Pass signals on to the process", default=True, group="Process"),
    Flag(
        "detach-keys",
        "",
        STRING,
        "Keys that leave the container running, such as ctrl-p,ctrl-q",
        group="Process",
    ),
)

COMMANDS = {
    "run": Command(
        "run",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        "Create and run a new container from an image",
        run,
        flags=(*SHARED, *RUN_FLAGS),
        arguments=(1, None),
        interspersed=False,
        about="The container gets file system, network and processes of its own; what follows the "
        "image is the command in it, instead of the image's. lading stays with it: input and "
        "output pass through, signals are passed on, and its exit status becomes that of "
        "lading (125 if it could not be made, 126 if its command cannot be executed, 127 if "
        "there is no such command).",
        examples=(
            (
                "run -it --rm debian bash",
                "a shell in a new container that is removed when the shell ends",
            ),
            (
                "run -d --name web -p 8080:80 nginx",
                "a server in the background, reached at port 8080",
            ),
            (
                "run --rm -v .:/src -w /src python:3 python t.py",
                "a program from the present directory",
            ),
            ("run --memory=100m --cpus=0.5 debian yes", "at most 100 MiB of memory and half a CPU"),
        ),
    ),
    "create": Command(
        "create",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        "Create a new container",
        create,
        flags=SHARED,
        arguments=(1, None),
        interspersed=False,
        about="The container is made as `lading run` makes it, but not started; its id is shown. "
        "`lading start` starts it.",
        examples=(
            (
                "create --name db -v data:/var/lib/data postgres",
                "make a container, to be started later",
            ),
            ("start -a db", "start it and stay with it"),
        ),
    ),
}
