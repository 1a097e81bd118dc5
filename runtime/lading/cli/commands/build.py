"""`lading build`."""

from __future__ import annotations

import os

from lading.cli import credentials, references
from lading.cli.buildcontext import BuildContext, open_context
from lading.cli.buildsecrets import (
    add_secrets,
    agents,
    parse_agent,
    parse_secret,
    takes_secrets,
)
from lading.cli.command import STDOUT, Command, Context
from lading.cli.commands.archives import read_file
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, INT, LIST, SIZE, STRING, STRINGS, SWAP, listing
from lading.cli.options import checks
from lading.cli.options.containers import ULIMITS
from lading.cli.progress import follow
from lading.cli.steptimes import timed
from lading.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


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


def _counted(context: Context, stream: Iterator[bytes], *, quiet: bool) -> Iterator[bytes]:
    """Pass a context on and, when it is sent, say how large it was."""
    size = 0
    for data in stream:
        size += len(data)
        yield data
    if not quiet:
        context.out(f"Sending build context to the daemon  {human_size(size, 4)}\n")


def _ask(context: Context, options: Options, source: BuildContext) -> Iterator[dict[str, Any]]:
    query = {**_query(context, options), "dockerfile": source.dockerfile, "remote": source.remote}
    headers = {"X-Registry-Config": credentials.header(credentials.all_known(context.config))}
    headers |= _handed_over(context, options, source)
    stream = None
    if source.stream is not None:
        headers["Content-Type"] = "application/x-tar"
        stream = _counted(context, source.stream, quiet=options.on("quiet"))
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
    quiet, built = options.on("quiet"), [""]

    def take(aux: dict[str, Any]) -> None:
        built[0] = aux.get("ID", built[0])

    said: list[str] = []
    messages = _ask(context, options, source)
    if quiet:
        messages = _noted(messages, said)
    elif os.isatty(STDOUT):
        messages = timed(messages)
    try:
        follow(context, messages, quiet=quiet, aux=take)
    except CliError:
        if quiet:
            context.error("".join(said))
        raise
    if quiet:
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
            Flag("iidfile", "", STRING, "Write the image's id to this file"),
            Flag("squash", "", BOOL, "Make one layer of all new ones"),
            Flag("rm", "", BOOL, "Remove the containers of steps", default=True),
            Flag("force-rm", "", BOOL, "Remove them even if a step fails"),
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
        "without what its .dockerignore names. Each instruction is a step; a step whose "
        "input has not changed comes from the cache. On a terminal, each step's time is "
        "shown.",
        examples=(
            ("build -t web:1.2 .", "from the Dockerfile in the present directory"),
            (
                "build -t web --build-arg VERSION=3 --target test -f ci/Dockerfile .",
                "one stage of another Dockerfile",
            ),
            ("build - < Dockerfile", "without a context"),
        ),
    ),
}
