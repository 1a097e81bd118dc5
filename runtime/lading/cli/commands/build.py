"""`lading build`."""

from __future__ import annotations

import os
import time

from lading.cli import credentials, references
from lading.cli.buildcontext import BuildContext, open_context
from lading.cli.buildsecrets import (
    add_secrets,
    agents,
    parse_agent,
    parse_secret,
    takes_secrets,
)
from lading.cli.buildsteps import TIMES_HEADER, Steps
from lading.cli.command import STDOUT, Command, Context
from lading.cli.commands.archives import read_file
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, INT, LIST, SIZE, STRING, STRINGS, SWAP, Kind, listing
from lading.cli.options import checks
from lading.cli.options.containers import ULIMITS
from lading.cli.progress import Lines, follow
from lading.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from lading.cli.progress import Display

AUTO, PLAIN, TTY, QUIET = "auto", "plain", "tty", "quiet"
_WIDTH = 80
_OFTEN = 0.1
"""How many seconds pass between two words on how far the context is."""


def _tag(text: str) -> str:
    try:
        references.parse(text)
    except CliError as error:
        raise ValueError(error.message) from None
    return text


def _arguments(values: list[str]) -> dict[str, str | None]:
    """Read `--build-arg` values; one without a value takes ours, or nothing if we have none."""
    found: dict[str, str | None] = {}
    for value in values:
        name, equals, content = value.partition("=")
        found[name] = content if equals else os.environ.get(name)
    return found


def _query(context: Context, options: Options) -> dict[str, Any]:
    proxies = context.config.proxies(context.client.address.text)
    arguments = {**proxies, **_arguments(options.items("build-arg"))}
    query: dict[str, Any] = {
        "t": options.items("tag"),
        "version": "1",
        "nocache": options.on("no-cache"),
        "rm": "1" if options.on("rm") else "0",
        "forcerm": options.on("force-rm"),
        "pull": options.on("pull"),
        "q": options.on("quiet"),
        "squash": options.on("squash"),
        "memory": options.number("memory") or None,
        "memswap": options.number("memory-swap") or None,
        "shmsize": options.number("shm-size") or None,
        "cpushares": options.number("cpu-shares") or None,
        "cpuperiod": options.number("cpu-period") or None,
        "cpuquota": options.number("cpu-quota") or None,
        "cpusetcpus": options.text("cpuset-cpus"),
        "cpusetmems": options.text("cpuset-mems"),
        "cgroupparent": options.text("cgroup-parent"),
        "networkmode": options.text("network"),
        "extrahosts": options.items("add-host"),
        "securityopt": options.items("security-opt"),
        "target": options.text("target"),
        "platform": options.text("platform"),
        "buildargs": arguments,
        "labels": options.mapping("label"),
    }
    if ulimits := options.items("ulimit"):
        query["ulimits"] = {"json": ulimits}
    if sources := options.items("cache-from"):
        query["cachefrom"] = {"json": sources}
    return {key: _unwrapped(value) for key, value in query.items()}


def _unwrapped(value: Any) -> Any:
    """Give lists that the API wants as JSON, rather than repeated, as that JSON."""
    if isinstance(value, dict) and set(value) == {"json"}:
        from lading.cli import fastjson

        return fastjson.dumps(value["json"])
    return value


def _counted(context: Context, stream: Iterator[bytes], shown: str) -> Iterator[bytes]:
    """Pass a context on and tell how large it is: at the end, and on a terminal all the while."""
    size, told = 0, 0.0
    for data in stream:
        size += len(data)
        yield data
        if shown == TTY and time.monotonic() - told > _OFTEN:
            told = time.monotonic()
            context.out(f"\rSending the context: {human_size(size, 4)}\x1b[K")
    if shown == TTY:
        context.out(f"\rSent the context: {human_size(size, 4)}\x1b[K\n")
    elif shown == PLAIN:
        context.out(f"Sending build context to the daemon  {human_size(size, 4)}\n")


def _shown(options: Options) -> str:
    """Tell how a build is shown: `QUIET`, `PLAIN` or `TTY`."""
    if options.on("quiet"):
        return QUIET
    if options.text("progress") in (PLAIN, TTY):
        return options.text("progress")
    return TTY if os.isatty(STDOUT) else PLAIN


def _progress(text: str) -> str:
    if text not in (AUTO, PLAIN, TTY):
        raise ValueError(f"it is {AUTO}, {PLAIN} or {TTY}")
    return text


def _lines(context: Context) -> Display:
    return Lines(context.out)


def _steps(context: Context) -> Display:
    def bars() -> Display:
        from lading.cli.bars import Bars

        return Bars(to_stderr=False)

    return Steps(context.out, context.width() or _WIDTH, bars)


def _ask(
    context: Context, options: Options, source: BuildContext, shown: str
) -> Iterator[dict[str, Any]]:
    query = {**_query(context, options), "dockerfile": source.dockerfile, "remote": source.remote}
    headers = {"X-Registry-Config": credentials.header(credentials.all_known(context.config))}
    headers |= _handed_over(context, options, source)
    if shown == TTY:
        headers[TIMES_HEADER] = "1"
    stream = None
    if source.stream is not None:
        headers["Content-Type"] = "application/x-tar"
        stream = _counted(context, source.stream, shown)
    response = context.client.request("POST", "/build", query, stream=stream, headers=headers)
    return response.values()


def _handed_over(context: Context, options: Options, source: BuildContext) -> dict[str, str]:
    """Add the secrets to the context; give the headers for them and for SSH agents."""
    given, wanted = options.items("secret"), options.items("ssh")
    if not given and not wanted:
        return {}
    if not takes_secrets(context.client.get("/version")):
        # Docker's daemon would put them into the image with the context.
        raise CliError("--secret and --ssh need a daemon of Lading, which this one is not")
    local = bool(context.client.address.path)
    return add_secrets(source, given) | agents(wanted, local=local)


def build(context: Context, options: Options) -> int:
    """Build an image."""
    source = open_context(options.args[0], options.text("file"), read_file("-"))
    shown, built = _shown(options), [""]

    def take(aux: dict[str, Any]) -> None:
        built[0] = aux.get("ID", built[0])

    said: list[str] = []
    display = {TTY: _steps, PLAIN: _lines}[shown](context) if shown != QUIET else None
    messages = _ask(context, options, source, shown)
    if shown == QUIET:
        messages = _noted(messages, said)
    try:
        follow(context, messages, quiet=display is None, aux=take, display=display)
    except CliError:
        if shown == QUIET:
            context.error("".join(said))
        raise
    if shown == QUIET:
        context.out((built[0] or "".join(said).strip()) + "\n")
    if path := options.text("iidfile"):
        _write_id(path, built[0])
    return 0


def _noted(messages: Iterator[dict[str, Any]], said: list[str]) -> Iterator[dict[str, Any]]:
    """Keep what a quiet build says, for the case that it fails."""
    for message in messages:
        said.append(message.get("stream", ""))
        yield message


def _write_id(path: str, image: str) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w") as file:
        file.write(image)
    os.replace(temporary, path)


LIMITS = "Limits of RUN"
COMMANDS = {
    "build": Command(
        "build",
        "[OPTIONS] PATH | URL | -",
        "Build an image from a Dockerfile",
        build,
        arguments=(1, 1),
        flags=(
            Flag(
                "file",
                "f",
                STRING,
                "The Dockerfile, `-` for stdin",
                shown_default="PATH/Dockerfile",
            ),
            Flag("tag", "t", listing("list", _tag), "Name of the image: name[:tag]"),
            Flag("build-arg", "", LIST, "Value for an ARG; without a value, ours"),
            Flag("target", "", STRING, "Stage to build, instead of the last one"),
            Flag("label", "", listing("list", checks.label), "Label of the image"),
            Flag("platform", "", STRING, "Platform of the image: os/arch[/variant]"),
            Flag("pull", "", BOOL, "Look for newer base images"),
            Flag("no-cache", "", BOOL, "Make every step again"),
            Flag("cache-from", "", STRINGS, "Image whose steps may be used as well"),
            Flag(
                "secret",
                "",
                listing("list", parse_secret),
                "Secret for RUN --mount=type=secret: id=ID[,src=FILE|,env=NAME]",
            ),
            Flag(
                "ssh",
                "",
                listing("list", parse_agent),
                "SSH agent for RUN --mount=type=ssh: ID[=SOCKET]",
            ),
            Flag("quiet", "q", BOOL, "Show the image's id only"),
            Flag(
                "progress",
                "",
                Kind("string", _progress, AUTO),
                "How it is shown: auto, plain (as Docker's builder), tty (a line for each step)",
                default=AUTO,
            ),
            Flag("iidfile", "", STRING, "Write the image's id to this file"),
            Flag("squash", "", BOOL, "Make one layer of all new ones"),
            Flag("rm", "", BOOL, "Remove the containers of steps", default=True),
            Flag("force-rm", "", BOOL, "Remove the containers of steps even if one fails"),
            Flag("compress", "", BOOL, "Accepted for compatibility", hidden=True),
            Flag("isolation", "", STRING, "Windows only", hidden=True),
            Flag(
                "disable-content-trust",
                "",
                BOOL,
                "Accepted for compatibility",
                default=True,
                hidden=True,
            ),
            Flag(
                "network",
                "",
                STRING,
                "Network of RUN: default, none, host",
                default="default",
                group=LIMITS,
            ),
            Flag(
                "add-host",
                "",
                listing("list", checks.extra_host),
                "Line for /etc/hosts: host:ip",
                group=LIMITS,
            ),
            Flag("security-opt", "", STRINGS, "Security option", group=LIMITS),
            Flag("memory", "m", SIZE, "Memory limit", group=LIMITS),
            Flag("memory-swap", "", SWAP, "Limit of memory and swap together", group=LIMITS),
            Flag("shm-size", "", SIZE, "Size of /dev/shm", group=LIMITS),
            Flag("cpu-shares", "c", INT, "Weight beside other containers", group=LIMITS),
            Flag(
                "cpu-period",
                "",
                INT,
                "Length of the scheduler's period in microseconds",
                group=LIMITS,
            ),
            Flag("cpu-quota", "", INT, "Microseconds of CPU in each period", group=LIMITS),
            Flag("cpuset-cpus", "", STRING, "CPUs to run on", group=LIMITS),
            Flag("cpuset-mems", "", STRING, "Memory nodes to use", group=LIMITS),
            Flag("cgroup-parent", "", STRING, "Cgroup to make those of RUN in", group=LIMITS),
            Flag("ulimit", "", ULIMITS, "Resource limit: name=soft[:hard]", group=LIMITS),
        ),
        about="PATH is the context: the directory that COPY and ADD take from, sent to the daemon "
        "without what its .dockerignore names. Each instruction is a step that leaves an image; a "
        "step whose parent, words and files have not changed comes from the cache, so what changes "
        "often belongs at the end. Stages that do not need each other run side by side. On a "
        "terminal there is a line for each step with its time, elsewhere what Docker's builder "
        "says. A step that fails leaves its container, for `lading logs` and `lading commit`.",
        examples=(
            ("build -t web:1.2 .", "from the Dockerfile in the present directory"),
            (
                "build -t web --build-arg VERSION=3 --target test -f ci/Dockerfile .",
                "one stage of another Dockerfile",
            ),
            ("build - < Dockerfile", "without a context"),
            ("build -q -t web .", "prints the image's id alone"),
            (
                "build --secret id=token,src=token.txt .",
                "a file for RUN --mount=type=secret,id=token, in no layer",
            ),
            ("build https://github.com/team/web.git#main:src", "what a repository has"),
            ("build --pull --cache-from team/web:latest .", "with the steps of a pulled image"),
        ),
    ),
}
