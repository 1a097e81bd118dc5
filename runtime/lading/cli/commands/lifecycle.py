"""`lading stop`, `kill`, `restart`, `pause`, `unpause`, `rm`, `wait` and `rename`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, INT, STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.cli.client.http import Response

#: Containers that are stopped or removed side by side.
AT_ONCE = 50
SIGNAL_FLAG = Flag("signal", "s", STRING, "Signal to send")
CONTAINERS = "[OPTIONS] CONTAINER [CONTAINER...]"


def _send(
    context: Context, method: str, paths: list[str], query: dict[str, object]
) -> list[Callable[[], Response]]:
    """Send all requests; what is given waits for the answers, one by one.

    They run side by side in the daemon, so that ten containers that take ten seconds to stop
    take ten seconds together.
    """
    if len(paths) == 1:
        return [lambda: context.client.request(method, paths[0], query)]
    return [context.client.begin(method, path, query) for path in paths]


def for_each(
    context: Context,
    names: list[str],
    method: str,
    path: str,
    query: dict[str, object],
    *,
    missing_is_fine: bool = False,
) -> int:
    """Do something to each container and show its name.

    `path` has `{}` where the container goes. What fails is told and makes the status 1, but for a
    container that does not exist if `missing_is_fine`.
    """
    status = 0
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        answers = _send(context, method, [path.format(name.strip("/")) for name in some], query)
        for name, answer in zip(some, answers, strict=True):
            try:
                answer().read()
            except ApiError as error:
                context.error(f"{error}\n")
                if not (missing_is_fine and error.http_status == 404):
                    status = 1
            else:
                context.out(f"{name}\n")
    return status


def _stopper(verb: str) -> Callable[[Context, Options], int]:
    def run(context: Context, options: Options) -> int:
        query: dict[str, object] = {"signal": options.text("signal")}
        for name in ("time", "timeout"):
            if options.given(name):
                query["t"] = options.number(name)
        return for_each(context, options.args, "POST", f"/containers/{{}}/{verb}", query)

    return run


def _simple(verb: str) -> Callable[[Context, Options], int]:
    def run(context: Context, options: Options) -> int:
        return for_each(context, options.args, "POST", f"/containers/{{}}/{verb}", {})

    return run


def kill(context: Context, options: Options) -> int:
    """Send a signal to containers."""
    query: dict[str, object] = {"signal": options.text("signal")}
    return for_each(context, options.args, "POST", "/containers/{}/kill", query)


def rm(context: Context, options: Options) -> int:
    """Remove containers."""
    force = options.on("force")
    query: dict[str, object] = {"v": options.on("volumes"), "link": options.on("link")}
    query["force"] = force
    if not all(name.strip("/") for name in options.args):
        raise CliError("container name cannot be empty")
    return for_each(context, options.args, "DELETE", "/containers/{}", query, missing_is_fine=force)


def wait(context: Context, options: Options) -> int:
    """Wait until containers have ended and show their exit statuses."""
    status = 0
    for name in options.args:
        try:
            answer = context.client.post(f"/containers/{name}/wait")
        except ApiError as error:
            context.error(f"{error}\n")
            status = 1
        else:
            context.out(f"{answer['StatusCode']}\n")
    return status


def rename(context: Context, options: Options) -> int:
    """Give a container another name."""
    old, new = (arg.strip() for arg in options.args)
    if not old or not new:
        raise CliError("Error: Neither old nor new names may be empty")
    try:
        context.client.post(f"/containers/{old}/rename", {"name": new})
    except ApiError as error:
        raise CliError(f"{error}\nError: failed to rename container named {old}") from None
    return 0


TIMEOUT_FLAGS = (
    SIGNAL_FLAG,
    Flag(
        "timeout",
        "t",
        INT,
        "Seconds until a container that does not end is killed, -1 for no limit",
    ),
    Flag("time", "", INT, "Same as --timeout", hidden=True),
)

COMMANDS = {
    "stop": Command(
        "stop",
        CONTAINERS,
        "Stop one or more running containers",
        _stopper("stop"),
        arguments=(1, None),
        flags=TIMEOUT_FLAGS,
        about="The process gets SIGTERM, or the stop signal of its image, and is killed if it has "
        "not ended after ten seconds.",
        examples=(("stop -t 60 db", "give it a minute"),),
    ),
    "restart": Command(
        "restart",
        CONTAINERS,
        "Restart one or more containers",
        _stopper("restart"),
        arguments=(1, None),
        flags=TIMEOUT_FLAGS,
        about="Containers that run are stopped as `lading stop` does; then all are started.",
    ),
    "kill": Command(
        "kill",
        CONTAINERS,
        "Kill one or more running containers",
        kill,
        arguments=(1, None),
        flags=(SIGNAL_FLAG,),
        about="The process gets SIGKILL, or the signal that is named.",
        examples=(("kill -s HUP web", "have a server read its configuration again"),),
    ),
    "pause": Command(
        "pause",
        "CONTAINER [CONTAINER...]",
        "Pause all processes within one or more containers",
        _simple("pause"),
        arguments=(1, None),
        about="The kernel's freezer stops the processes where they are; they do not notice.",
    ),
    "unpause": Command(
        "unpause",
        "CONTAINER [CONTAINER...]",
        "Unpause all processes within one or more containers",
        _simple("unpause"),
        arguments=(1, None),
        about="The processes go on where they were.",
    ),
    "rm": Command(
        "rm",
        CONTAINERS,
        "Remove one or more containers",
        rm,
        arguments=(1, None),
        flags=(
            Flag("force", "f", BOOL, "Kill it first if it runs; do not mind if it does not exist"),
            Flag("link", "l", BOOL, "Remove the link, not the container"),
            Flag("volumes", "v", BOOL, "Remove its anonymous volumes, too"),
        ),
        about="The container's writable layer and log are lost. Named volumes stay.",
        examples=(
            ("rm -f web", "even while it runs"),
            ("rm $(lading ps -aq)", "all that do not run"),
        ),
    ),
    "wait": Command(
        "wait",
        "CONTAINER [CONTAINER...]",
        "Block until one or more containers stop, then print their exit codes",
        wait,
        arguments=(1, None),
        about="For a container that has ended already, its exit status comes at once.",
    ),
    "rename": Command(
        "rename",
        "CONTAINER NEW_NAME",
        "Rename a container",
        rename,
        arguments=(2, 2),
        about="Running containers can be renamed, too.",
    ),
}
