"""The command line's grammar, and what `--help` teaches."""

from __future__ import annotations

import argparse
from typing import NoReturn

DEFAULT_ROOT = "/run/lading-oci"

_ABOUT = """\
lading-oci runs containers from OCI bundles: a directory with a config.json and a root file system.

  mkdir -p web/rootfs && cd web         # a bundle
  tar -C rootfs -xf rootfs.tar          # fill its root
  lading-oci spec                       # write a config.json to begin with
  lading-oci plan                       # see, step by step, what a start would do
  lading-oci run web1                   # run it, in the foreground

A container's life in parts, as containerd and others drive it:

  lading-oci create web1                # namespaces, mounts, cgroup: all but the program
  lading-oci start web1                 # execute the program
  lading-oci exec web1 ps               # one more process in it
  lading-oci kill web1 TERM
  lading-oci delete web1
"""


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and names where help is."""

    def error(self, message: str) -> NoReturn:
        """Print it and exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build() -> Parser:
    """Build the parser; each command's module function stands in `command`."""
    parser = Parser(
        prog="lading-oci",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root", default=DEFAULT_ROOT, help=f"state of all containers ({DEFAULT_ROOT})"
    )
    parser.add_argument("--log", default="", metavar="FILE", help="append errors to FILE")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="accepted; errors say all there is")
    parser.add_argument("--systemd-cgroup", action="store_true", help="not supported: use cgroupfs")
    parser.add_argument("--rootless", default="auto", choices=("auto", "no", "false"))
    parser.add_argument("--version", "-v", action="store_true", help="print versions")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    _life(commands)
    _processes(commands)
    _limits(commands)
    return parser


def _life(commands: argparse._SubParsersAction[Parser]) -> None:
    spec = commands.add_parser("spec", help="write a config.json to begin with")
    _bundle(spec)
    spec.add_argument("--rootless", default="no", choices=("no", "false"))
    plan = commands.add_parser("plan", help="print the steps that a start would take")
    _bundle(plan)
    plan.add_argument("id", nargs="?", default="example")
    create = commands.add_parser("create", help="create a container that waits for its start")
    _bundle(create)
    _new_process(create)
    _new_container(create)
    run = commands.add_parser("run", help="create and start a container, and wait for its end")
    _bundle(run)
    _new_process(run)
    _new_container(run)
    run.add_argument("--detach", "-d", action="store_true", help="do not wait for its end")
    run.add_argument("--keep", action="store_true", help="do not delete it after its end")
    for name, about in (
        ("start", "execute the program of a created container"),
        ("state", "print the state of a container as JSON"),
    ):
        commands.add_parser(name, help=about).add_argument("id")
    kill = commands.add_parser("kill", help="send a signal to a container's first process")
    kill.add_argument("--all", "-a", action="store_true", help="send it to all of its processes")
    kill.add_argument("id")
    kill.add_argument("signal", nargs="?", default="TERM", help="name or number (TERM)")
    delete = commands.add_parser("delete", help="remove a container that has ended")
    delete.add_argument("--force", "-f", action="store_true", help="kill it first if it runs")
    delete.add_argument("id")
    listing = commands.add_parser("list", help="list containers")
    _format(listing)
    listing.add_argument("--quiet", "-q", action="store_true", help="ids only")


def _processes(commands: argparse._SubParsersAction[Parser]) -> None:
    run = commands.add_parser("exec", help="run one more process in a container")
    run.add_argument(
        "--process", "-p", default="", metavar="FILE", help="process as JSON; - is stdin"
    )
    _new_process(run)
    run.add_argument("--tty", "-t", action="store_true", help="give it a terminal")
    run.add_argument("--detach", "-d", action="store_true", help="do not wait for its end")
    run.add_argument("--cwd", default="", help="working directory inside")
    run.add_argument("--env", "-e", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--user", "-u", default="", metavar="UID[:GID]")
    run.add_argument("--additional-gids", "-g", action="append", default=[], type=int)
    run.add_argument("--cap", "-c", action="append", default=[], help="add a capability")
    run.add_argument("--no-new-privs", action="store_true")
    run.add_argument("--apparmor", default="")
    run.add_argument("--process-label", default="")
    run.add_argument("--ignore-paused", action="store_true", help="wait for a paused container")
    run.add_argument("--cgroup", default="", help=argparse.SUPPRESS)
    run.add_argument("id")
    run.add_argument("args", nargs=argparse.REMAINDER, metavar="COMMAND [ARG…]")
    ps = commands.add_parser("ps", help="list the processes in a container")
    _format(ps)
    ps.add_argument("id")
    ps.add_argument("options", nargs="*", help=argparse.SUPPRESS)


def _limits(commands: argparse._SubParsersAction[Parser]) -> None:
    commands.add_parser("pause", help="freeze a container").add_argument("id")
    commands.add_parser("resume", help="let a paused container go on").add_argument("id")
    update = commands.add_parser("update", help="change the limits of a running container")
    update.add_argument("--resources", "-r", default="", metavar="FILE", help="as JSON; - is stdin")
    for option, about in (
        ("memory", "bytes, or with k, m, g"),
        ("memory-reservation", "bytes, or with k, m, g"),
        ("memory-swap", "memory and swap together"),
        ("cpu-shares", "relative weight, 1024 is one"),
        ("cpu-quota", "microseconds in a period"),
        ("cpu-period", "microseconds"),
        ("cpuset-cpus", "CPUs, as 0-2,4"),
        ("cpuset-mems", "memory nodes, as 0-1"),
        ("pids-limit", "processes and threads"),
        ("blkio-weight", "10 to 1000"),
    ):
        update.add_argument(f"--{option}", help=about)
    update.add_argument("id")
    events = commands.add_parser("events", help="print what a container uses, as JSON lines")
    events.add_argument("--stats", action="store_true", help="once, not until its end")
    events.add_argument("--interval", default="5s", help="time between two lines (5s)")
    events.add_argument("id")
    commands.add_parser("features", help="print what this runtime can do, as JSON")


def _bundle(parser: Parser) -> None:
    parser.add_argument("--bundle", "-b", default=".", help="the bundle's directory (.)")


def _format(parser: Parser) -> None:
    parser.add_argument("--format", "-f", choices=("table", "json"), default="table")


def _new_process(parser: Parser) -> None:
    parser.add_argument(
        "--console-socket", default="", metavar="SOCKET", help="where its terminal is sent"
    )
    parser.add_argument("--pid-file", default="", metavar="FILE", help="where its pid is written")
    parser.add_argument("--preserve-fds", type=int, default=0, metavar="N", help="pass 3 … 2+N on")


def _new_container(parser: Parser) -> None:
    parser.add_argument("--no-pivot", action="store_true", help="move the root instead (initramfs)")
    parser.add_argument("--no-new-keyring", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-subreaper", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("id")
