"""`lading inspect`, and `inspect` of the groups."""

from __future__ import annotations

from lading.cli import fastjson
from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.filters import INSPECT_FORMAT_FLAG
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: What is found under a name: its kind, and the bytes that the daemon sent.
    Found = tuple[str, bytes]

PATHS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}
GO_TYPES = {
    "container": "container.InspectResponse",
    "image": "image.InspectResponse",
    "network": "network.Inspect",
    "volume": "volume.Volume",
}
SWARM = ("config", "node", "plugin", "secret", "service", "task")
TEMPLATE_STATUS = 64


def _fetch(context: Context, options: Options, kind: str, name: str) -> Found:
    query: dict[str, object] = {}
    if kind == "container" and options.on("size"):
        query["size"] = True
    if kind == "network":
        query = {"verbose": "verbose" in options and options.on("verbose")}
    if "platform" in options and options.text("platform"):
        from lading.cli.platforms import as_json

        query["platform"] = as_json(options.text("platform"))
    return kind, context.client.get_raw(PATHS[kind].format(name), query)


def _search(context: Context, options: Options, name: str) -> Found:
    """Look a name up among containers, images, networks and volumes.

    Raises CliError if nothing has it.
    """
    for kind in PATHS:
        try:
            found = _fetch(context, options, kind, name)
        except ApiError as error:
            if error.http_status in (400, 404, 501, 503):
                continue
            raise
        if kind != "container" and options.on("size"):
            context.error(f"WARNING: --size ignored for {kind}\n")
        return found
    raise CliError(f"Error: No such object: {name}")


def inspect(context: Context, options: Options) -> int:
    """Show what the daemon knows about objects of any kind, or of the given one."""
    kind = options.text("type")
    if kind and kind not in PATHS:
        known = ", ".join(f'"{word}"' for word in sorted((*PATHS, *SWARM)))
        if kind not in SWARM:
            raise CliError(f'unknown type: "{kind}": must be one of {known}')
        raise CliError(f"there is no {kind} to inspect: that is a swarm's, and Lading has no swarm")
    if kind:
        return show(context, options, lambda name: _fetch(context, options, kind, name))
    return show(context, options, lambda name: _search(context, options, name))


def show(context: Context, options: Options, fetch: Callable[[str], Found]) -> int:
    """Show what is found under each name, then complain about names under which nothing is."""
    write = _writer(options.text("format"))
    shown: list[str] = []
    failures: list[str] = []
    for name in options.args:
        try:
            shown.append(write(*fetch(name)))
        except CliError as error:
            failures.append(error.message)
    context.out(_joined(options.text("format"), shown))
    for failure in failures:
        context.error(f"{failure}\n")
    return int(bool(failures))


def _joined(template: str, shown: list[str]) -> str:
    if template == "json":
        return f"[{','.join(shown)}]\n"
    if template:
        return "".join(f"{text}\n" for text in shown) or "\n"
    return "[\n" + ",\n".join(shown) + "\n]\n" if shown else "[]\n"


def _writer(template: str) -> Callable[[str, bytes], str]:
    if template == "json":
        return lambda _kind, raw: fastjson.dumps(fastjson.loads(raw))
    if not template:
        return lambda _kind, raw: (
            "    " + fastjson.dumps(fastjson.loads(raw), indent="    ", level=1)
        )
    from lading.cli.format.docker import compile_template, execute_on_object
    from lading.cli.format.lexer import TemplateError

    try:
        tree = compile_template(template)
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}", TEMPLATE_STATUS) from None

    def write(kind: str, raw: bytes) -> str:
        try:
            return execute_on_object(tree, GO_TYPES[kind], raw)
        except TemplateError as error:
            raise CliError(str(error)) from None

    return write


def _one_kind(kind: str, extra: tuple[Flag, ...], about: str) -> Command:
    def run(context: Context, options: Options) -> int:
        return show(context, options, lambda name: _fetch(context, options, kind, name))

    return Command(
        f"{kind} inspect",
        f"[OPTIONS] {kind.upper()} [{kind.upper()}...]",
        f"Display detailed information on one or more {kind}s",
        run,
        arguments=(1, None),
        flags=(INSPECT_FORMAT_FLAG, *extra),
        about=about,
    )


SIZE_FLAG = Flag("size", "s", BOOL, "Count and show the sizes of containers")
COMMANDS = {
    "inspect": Command(
        "inspect",
        "[OPTIONS] NAME|ID [NAME|ID...]",
        "Return low-level information on Docker objects",
        inspect,
        arguments=(1, None),
        flags=(
            INSPECT_FORMAT_FLAG,
            SIZE_FLAG,
            Flag(
                "type",
                "",
                STRING,
                "Look among objects of this kind only: container, image, network, volume",
            ),
        ),
        about="All that the daemon knows, as JSON, or a part of it through a Go template. A name "
        "is looked up among containers first, then images, networks and volumes.",
        examples=(
            ("inspect -f '{{.State.Pid}}' web", "the process id on the host"),
            (
                "inspect -f '{{range .Mounts}}{{.Destination}} {{end}}' web",
                "where something is mounted",
            ),
            ("inspect -f '{{json .Config.Env}}' nginx", "a part as JSON"),
        ),
    ),
    "container inspect": _one_kind(
        "container", (SIZE_FLAG,), "Like `lading inspect --type container`."
    ),
    "image inspect": _one_kind(
        "image",
        (Flag("platform", "", STRING, "Platform to show: os[/arch[/variant]]"),),
        "Like `lading inspect --type image`.",
    ),
    "network inspect": _one_kind(
        "network",
        (Flag("verbose", "v", BOOL, "Show more, for diagnosis"),),
        "Like `lading inspect --type network`.",
    ),
    "volume inspect": _one_kind("volume", (), "Like `lading inspect --type volume`."),
}
