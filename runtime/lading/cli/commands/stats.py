"""`lading stats`."""

from __future__ import annotations

import time
from select import POLLIN, poll

from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.filters import FORMAT_FLAG
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL
from lading.cli.listing import Column, Listing, View, choose_template, render, shown_id, view_of
from lading.cli.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from lading.cli.client.http import Response

REFRESH = 0.5
HOME, CLEAR_LINE, CLEAR_REST = "\033[H", "\033[K", "\033[J"
TABLE = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")


def _id(usage: Usage, view: View) -> str:
    return shown_id(usage.id, view) or "--"


STATS = Listing(
    "*container.statsContext",
    (
        Column("Container", "CONTAINER", lambda u, _: u.container),
        Column("ID", "CONTAINER ID", _id),
        Column("Name", "NAME", lambda u, _: u.name or "--", shrinks=True),
        Column("CPUPerc", "CPU %", lambda u, _: u.cpu_text()),
        Column("MemUsage", "MEM USAGE / LIMIT", lambda u, _: u.memory_text()),
        Column("MemPerc", "MEM %", lambda u, _: u.memory_percent_text()),
        Column("NetIO", "NET I/O", lambda u, _: u.network_text()),
        Column("BlockIO", "BLOCK I/O", lambda u, _: u.block_text()),
        Column("PIDs", "PIDS", lambda u, _: u.processes_text()),
    ),
)


class _Watch:
    """The stream of one container's samples, or of the events that make containers come and go."""

    def __init__(self, response: Response, usage: Usage | None) -> None:
        self.response = response
        self.usage = usage
        self.values: Iterator[Any] = response.values()
        self.fd = response.connection.sock.fileno()

    def close(self) -> None:
        self.response.connection.close()


class _Monitor:
    def __init__(self, context: Context, *, every: bool) -> None:
        self._context = context
        self._every = every
        self._poll = poll()
        self._watches: dict[int, _Watch] = {}
        self.following = False

    @property
    def usages(self) -> list[Usage]:
        return [watch.usage for watch in self._watches.values() if watch.usage]

    def _add(self, watch: _Watch) -> None:
        self._watches[watch.fd] = watch
        self._poll.register(watch.fd, POLLIN)

    def watch(self, container: str) -> None:
        path = f"/containers/{container}/stats"
        response = self._context.client.request("GET", path, {"stream": True})
        self._add(_Watch(response, Usage(container)))

    def watch_all(self) -> None:
        """Watch all containers, and those that come and go from now on."""
        self.following = True
        filters = {"type": {"container": True}}
        response = self._context.client.request("GET", "/events", {"filters": filters})
        self._add(_Watch(response, None))
        for container in self._context.client.get("/containers/json", {"all": self._every}):
            self.watch(container["Id"][:12])

    def _on_event(self, event: dict[str, Any]) -> None:
        container, action = event["Actor"]["ID"][:12], event["Action"]
        known = {usage.container for usage in self.usages}
        if action == ("create" if self._every else "start") and container not in known:
            self.watch(container)
        elif action == "destroy" or (action == "die" and not self._every):
            for watch in [
                w for w in self._watches.values() if w.usage and w.usage.container == container
            ]:
                self._drop(watch)

    def _drop(self, watch: _Watch) -> None:
        self._poll.unregister(watch.fd)
        del self._watches[watch.fd]
        watch.close()

    def serve(self, seconds: float) -> None:
        """Take samples and events for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left * 1000):
                if fd in self._watches:
                    self._read(self._watches[fd])

    def _read(self, watch: _Watch) -> None:
        value = next(watch.values, None)
        if value is None:
            self._drop(watch)
        elif watch.usage:
            watch.usage.take(value)
        else:
            self._on_event(value)


def stats(context: Context, options: Options) -> int:
    """Show what containers use, again and again, or once."""
    template = choose_template(context, options, "statsFormat")
    view = view_of(options)
    if options.on("no-stream"):
        context.out(
            render(
                STATS,
                _once(context, options),
                TABLE,
                view=view,
                template=template,
                width=context.width(),
            )
        )
        return 0
    monitor = _Monitor(context, every=options.on("all"))
    if options.args:
        for name in options.args:
            monitor.watch(name)
    else:
        monitor.watch_all()
    terminal = context.width() is not None
    if terminal:
        context.out("\033[2J")
    while monitor.usages or monitor.following:
        monitor.serve(REFRESH)
        text = render(
            STATS, monitor.usages, TABLE, view=view, template=template, width=context.width()
        )
        if terminal:
            text = HOME + text.replace("\n", f"{CLEAR_LINE}\n") + CLEAR_REST
        context.out(text)
    return 0


def _once(context: Context, options: Options) -> list[Usage]:
    """Ask for one sample of each container, all at once, as the daemon measures for a second."""
    names = options.args
    if not names:
        found = context.client.get("/containers/json", {"all": options.on("all")})
        names = [container["Id"][:12] for container in found]
    waiting = []
    for name in names:
        usage = Usage(name)
        waiting.append(
            (usage, context.client.begin("GET", f"/containers/{name}/stats", {"stream": "false"}))
        )
    usages: list[Usage] = []
    failure: CliError | None = None
    for usage, finish in waiting:
        try:
            usage.take(finish().json())
        except CliError as error:
            failure = failure or error
        usages.append(usage)
    if failure:
        raise failure
    return usages


COMMANDS = {
    "stats": Command(
        "stats",
        "[OPTIONS] [CONTAINER...]",
        "Display a live stream of container(s) resource usage statistics",
        stats,
        arguments=(0, None),
        flags=(
            Flag("all", "a", BOOL, "Containers that do not run, too"),
            FORMAT_FLAG,
            Flag("no-stream", "", BOOL, "Show one sample and end"),
            Flag("no-trunc", "", BOOL, "Show ids in full"),
        ),
        about="Without names, all running containers are shown, also those that start meanwhile. "
        "CPU counts 100% for each CPU; memory is without the page cache that could be "
        "dropped.",
        examples=(
            ("stats --no-stream --format '{{.Name}} {{.MemUsage}}'", "one line for each, once"),
        ),
    ),
}
