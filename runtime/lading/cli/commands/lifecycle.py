"""`lading stop`, `kill`, `restart`, `pause`, `unpause`, `rm`, `wait` and `rename`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, INT, STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SIGNAL_FLAG = Flag("signal", "s", STRING, "Signal to send")
CONTAINERS = "[OPTIONS] CONTAINER [CONTAINER...]"


def for_each(context: Context, names: list[str], do: Callable[[str], object]) -> int:
    """Do something to each container and show its name.

    What fails is told and makes the status 1.
    """
    status = 0
    for name in names:
        try:
            do(name)
        except ApiError as error:
            context.error(f"{error}\n")
            status = 1
        else:
            context.out(f"{name}\n")
    return status


def _stopper(verb: str) -> Callable[[Context, Options], int]:
    def run(context: Context, options: Options) -> int:
        query: dict[str, object] = {"signal": options.text("signal")}
        if options.given("timeout") or options.given("time"):
            name = "timeout" if options.given("timeout") else "time"
            query["t"] = options.number(name)
        return for_each(
            context,
            options.args,
            lambda name: context.client.post(f"/containers/{name}/{verb}", query),
        )

    return run


def _simple(verb: str) -> Callable[[Context, Options], int]:
    def run(context: Context, options: Options) -> int:
        return for_each(
            context, options.args, lambda name: context.client.post(f"/containers/{name}/{verb}")
        )

    return run


def kill(context: Context, options: Options) -> int:
    """Send a signal to containers."""
    query = {"signal": options.text("signal")}
    return for_each(
        context, options.args, lambda name: context.client.post(f"/containers/{name}/kill", query)
    )


def rm(context: Context, options: Options) -> int:
    """Remove containers."""
    query = {"v": options.on("volumes"), "link": options.on("link"), "force": options.on("force")}
    status = 0
    for given in options.args:
        name = given.strip("/")
        if not name:
            raise CliError("container name cannot be empty")
        try:
            context.client.delete(f"/containers/{name}", query)
        except CliError as error:
            context.error(f"{error}\n")
            missing = isinstance(error, ApiError) and error.http_status == 404
            status = status if options.on("force") and missing else 1
        else:
            context.out(f"{given}\n")
    return status


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
