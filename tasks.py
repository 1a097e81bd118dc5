"""What is done with this project, as tasks: `invoke --list`, and `invoke --help TASK`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from invoke import Collection, Context, Exit, task

from lab import gate
from lab.shell import LabError

Function = TypeVar("Function", bound=Callable[..., Any])


def _clear(function: Function) -> Function:
    """End with one sentence, not a traceback, when the lab can not do what was asked."""

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        # Being asked to end is an interrupt from the keyboard: what was started is cleaned up.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return function(*arguments, **options)
        except LabError as error:
            raise Exit(f"lading: {error}", 1) from None
        except KeyboardInterrupt:
            raise Exit("lading: interrupted", 130) from None

    return wrapped  # type: ignore[return-value]


def _run(steps: list[gate.Step]) -> None:
    if not gate.run(steps):
        raise Exit(code=1)


@task
@_clear
def demo(_context: Context) -> None:
    """Run the main job on this machine, with `docker` and with `lading`, and show each layer."""
    from lab.demo import run

    run()


@task
@_clear
def test(_context: Context) -> None:
    """Lint, types, unit tests, and the scenarios on Lading side by side with Docker."""
    _run(gate.everything())


@task
@_clear
def lint(_context: Context) -> None:
    """Check style, formatting and which way imports run."""
    _run(gate.lint())


@task
@_clear
def types(_context: Context) -> None:
    """Check the types of everything (mypy, strict)."""
    _run(gate.types())


@task(help={"every_python": "in a tox environment for each installed Python from 3.11 on"})
@_clear
def unit(_context: Context, every_python: bool = False) -> None:
    """Run the unit tests."""
    if every_python:
        from lab.pythons import tox_steps

        _run(tox_steps())
    else:
        _run(gate.unit())


@task(help={"engine": "lading (default), docker, or both", "only": "a file or folder of them"})
@_clear
def scenarios(_context: Context, engine: str = "lading", only: str = "scenarios") -> None:
    """Run scenarios on one engine, without comparing."""
    _run(gate.scenarios(f"--engine={engine}", where=only))


@task(
    default=True,
    help={
        "against": "docker: live, side by side; recorded: what `parity.record` kept; nothing",
        "engine": "lading (default) or podman, which is compared with what was recorded",
        "engine_socket": "test the engine that answers on this unix socket instead of Lading",
        "only": "run the scenarios whose names match this expression (pytest -k)",
        "release": "the reference's release (default: 28.5)",
    },
)
@_clear
def compare(
    _context: Context,
    against: str = "docker",
    engine: str = "lading",
    engine_socket: str = "",
    only: str = "",
    release: str = "28.5",
) -> None:
    """Run the scenarios on Lading and compare what they observe with the reference."""
    if engine not in ("lading", "podman"):
        raise LabError(f"--engine {engine}: it takes lading or podman")
    options = [f"--docker-release={release}", *([f"-k={only}"] if only else [])]
    if against == "docker" and engine_socket:
        raise LabError("another engine is compared with --against recorded, or with nothing")
    if against == "docker":
        options.append(f"--engine=docker,{engine}")
    elif against in ("recorded", "nothing"):
        options += [f"--engine={engine}", f"--against={against}"]
    else:
        raise LabError(f"--against {against}: it takes docker, recorded or nothing")
    if engine_socket:
        options.append(f"--engine-socket={engine_socket}")
    _run(gate.scenarios(*options))


@task(
    help={
        "cells": "record in these cells of the lab, their names with commas, or `all` (default: "
        "on this host)",
        "release": "the reference's release on this host (default: 28.5)",
        "scenarios": "only these: files, folders, patterns or `smoke`, with commas (with --cells)",
    }
)
@_clear
def record(_context: Context, cells: str = "", release: str = "28.5", scenarios: str = "") -> None:
    """Run the scenarios on Docker alone and keep what they observe in scenarios/reference/."""
    if not cells:
        if scenarios:
            raise LabError("--scenarios goes with --cells: on this host all are recorded")
        _run(gate.scenarios("--engine=docker", "--record", f"--docker-release={release}"))
        return
    from lab.matrix.main import Options, matrix

    names = [] if cells == "all" else cells.split(",")
    matrix(Options(cells=names, scenarios=scenarios.split(","), engine="docker", driver="qemu"))


_RELEASE = {"release": "20.10, 26.1 or 28.5 (default)"}


@task(help=_RELEASE)
@_clear
def up(_context: Context, release: str = "28.5") -> None:
    """Bring real Docker up, with busybox, beside what this machine has; print its socket."""
    from lab import dockercli, images, shell
    from lab.reference import Reference

    reference = Reference(release)
    reference.up()
    shell.run(
        *dockercli.words(), "--host", reference.host, "load", "--input", str(images.busybox())
    )
    print(f"DOCKER_HOST={reference.host}")


@task(help=_RELEASE)
@_clear
def down(_context: Context, release: str = "28.5") -> None:
    """End it and everything it runs, and leave the machine as it was; its images stay."""
    from lab.reference import Reference

    Reference(release).down()


@task
@_clear
def status(_context: Context) -> None:
    """Say for each release whether it is up, and where: one line of JSON each."""
    from lab.reference import RELEASES, Reference

    for release in RELEASES:
        print(Reference(release).describe())


_ROUNDS = {"rounds": "how often each engine has its turn (default: 20)"}


@task(help={"what": "start, build, or images", **_ROUNDS})
@_clear
def bench(_context: Context, what: str, rounds: int = 20) -> None:
    """Measure beside Docker, as ratios: `bench start`, `bench build` or `bench images`."""
    from lab.bench import build, images, start

    runs: dict[str, Callable[[int], object]] = {
        "start": start.run,
        "build": build.run,
        "images": images.run,
    }
    if what not in runs:
        raise LabError(f"bench {what}: there are {', '.join(f'`{name}`' for name in runs)}")
    runs[what](rounds)


@task(
    help={
        "config": "a kernel's configuration file, packed or not",
        "running": "the running kernel's (default)",
        "cells": "try it all in machines of these cells, their names with commas, or `all`",
        "json": "for programs",
    }
)
@_clear
def check(
    _context: Context,
    config: str = "",
    running: bool = False,
    cells: str = "",
    json: bool = False,
) -> None:
    """Say what a kernel offers a container engine, and what each missing option costs."""
    from pathlib import Path

    if cells:
        if config or running or json:
            raise LabError("--cells tries what machines do: it goes with no other option")
        from lab.tasks_machines import proven

        if not proven([] if cells == "all" else cells.split(",")):
            sys.exit(1)
        return
    from lab.kernels import config as kernel
    from lab.kernels.check import as_json, as_table, check, usable

    if config and running:
        raise LabError("--config and --running exclude each other")
    try:
        found = kernel.read(Path(config)) if config else kernel.running()
    except kernel.NoConfig as error:
        raise LabError(str(error)) from None
    findings = check(found)
    print(as_json(found, findings) if json else "\n".join(as_table(found, findings)))
    if not usable(findings):
        sys.exit(1)


@task(name="list", help={"json": "the cells alone, for programs"})
@_clear
def list_(_context: Context, json: bool = False) -> None:
    """List the lab's cells and the scenarios."""
    from lab.cells import as_json, cells

    if json:
        print(as_json())
        return
    from lab.matrix.plan import collect

    for cell in cells().values():
        print(f"{cell.name:<12} {cell.describe()}; compared with Docker {cell.engine}")
    print()
    print("\n".join(collect()))


@task(
    help={
        "cells": "their names, with commas (default: all; `invoke lab.list` has them)",
        "scenarios": "files, folders, functions or patterns of them, with commas, or `smoke` for "
        "a few from every folder (default: all)",
        "driver": "local (default), this host as the only cell; qemu, or vagrant",
        "machines": "how many at once (default: as many as this host carries)",
        "shard": "a part of the scenarios, such as 2/3",
        "fresh": "start anew where an earlier run of the same was interrupted",
        "plan": "show what would run, and how long it would take",
        "release": "Docker releases that --driver local compares with (default: 28.5)",
        "within": "the minutes it may take: scenarios that do not fit are left out",
    }
)
@_clear
def matrix(
    _context: Context,
    cells: str = "",
    scenarios: str = "",
    driver: str = "local",
    machines: int = 0,
    shard: str = "",
    fresh: bool = False,
    plan: bool = False,
    release: str = "28.5",
    within: float = 0.0,
) -> None:
    """Run the scenarios in the cells, each on a fresh machine, and report; resumes by itself."""
    from lab.matrix.main import Options
    from lab.matrix.main import matrix as run

    options = Options(
        cells=cells.split(","),
        scenarios=scenarios.split(","),
        driver=driver,
        machines=machines,
        part=shard,
        fresh=fresh,
        only_plan=plan,
        releases=release.split(","),
        within=within * 60,
    )
    if not run(options):
        raise Exit(code=1)


@task(name="open", help={"path": "print where it is, and open nothing"})
@_clear
def open_(_context: Context, path: bool = False) -> None:
    """Make the last matrix's report again, out of its JSON, and open it in a browser."""
    import webbrowser

    from lab.matrix.main import last_document
    from lab.paths import RESULTS
    from lab.report.build import build

    build(last_document(), RESULTS / "matrix")
    report = RESULTS / "matrix" / "report.html"
    print(report)
    if not path and not webbrowser.open(report.as_uri()):
        raise LabError(f"no browser was found: open {report} in one")


@task(default=True, help=_ROUNDS)
@_clear
def measured(_context: Context, rounds: int = 20) -> None:
    """Measure builds beside Docker: `bench images build` is one run of both."""
    from lab.bench import build

    build.run(rounds)


@task(
    help={
        "engine": "lading (default), docker, or both with a comma",
        "only": "c, nginx, python or node; several with commas (default: all)",
    }
)
@_clear
def real(_context: Context, engine: str = "lading", only: str = "") -> None:
    """Build real applications from Debian's, PyPI's and npm's packages, run and ask them."""
    from lab.real.builds import run

    run(engine.split(","), only.split(",") if only else ())


_CELL = {"cell": "its name (`invoke lab.list`)"}
_IN_IT = {"engine": "what is up in it: none (default), lading or docker"}


@task(
    help={
        "release": "only for cells with these Debian releases, with commas",
        "cells": "only what these cells need, with commas (default: all)",
        "refresh": "bake anew, from what Debian's archive has now",
    }
)
@_clear
def bake(_context: Context, release: str = "", cells: str = "", refresh: bool = False) -> None:
    """Make the roots and kernels of the lab's machines, once; `lab.bake --cells forky` one's."""
    from lab.tasks_machines import baked

    baked(cells.split(","), release.split(","), refresh=refresh)


@task(name="up", help={**_CELL, "driver": "qemu (default), or vagrant: `vagrant up`", **_IN_IT})
@_clear
def lab_up(_context: Context, cell: str, driver: str = "qemu", engine: str = "none") -> None:
    """Boot a cell's machine and save it, so that clones of it start at once."""
    if driver == "vagrant":
        from lab import tasks_vagrant

        if engine != "none":
            raise LabError("--engine goes with the driver qemu: a machine of Vagrant's has Docker")
        tasks_vagrant.up(cell)
    elif driver == "qemu":
        from lab import tasks_machines

        tasks_machines.up(cell, engine)
    else:
        raise LabError(f"--driver {driver}: lab.up takes qemu or vagrant")


@task(
    help={
        "cell": "its name, several with commas, or `all` (`invoke lab.list` has them)",
        "refresh": "pack again what is packed",
    }
)
@_clear
def box(_context: Context, cell: str, refresh: bool = False) -> None:
    """Pack a cell's root and kernel as a box for Vagrant; `vagrant up CELL` uses it."""
    from lab import tasks_vagrant

    tasks_vagrant.box([] if cell == "all" else cell.split(","), refresh=refresh)


@task(
    name="run",
    help={**_CELL, "command": "a line for sh", "driver": "qemu, vagrant or local", **_IN_IT},
)
@_clear
def lab_run(
    _context: Context, cell: str, command: str, driver: str = "qemu", engine: str = "none"
) -> None:
    """Run a command in a fresh machine of a cell."""
    from lab import tasks_machines

    if code := tasks_machines.run(cell, command, driver, engine):
        raise Exit(code=code)


@task(help={**_CELL, "at": "a machine in which a scenario failed, as the failure says", **_IN_IT})
@_clear
def shell(_context: Context, cell: str, at: str = "", engine: str = "none") -> None:
    """Open a shell in a fresh machine of a cell, or in one in which a scenario failed."""
    from lab import tasks_machines

    tasks_machines.shell(cell, at, engine)


@task(name="clean", help={"everything": "also the roots and kernels, which `lab.bake` made"})
@_clear
def lab_clean(_context: Context, everything: bool = False) -> None:
    """Remove saved machines, and those kept after failures."""
    from lab import tasks_machines

    tasks_machines.clean(everything=everything)


namespace = Collection(demo, test, lint, types, unit, scenarios, bench)
namespace.add_collection(Collection("parity", compare, record))
namespace.add_collection(Collection("reference", up, down, status))
namespace.add_collection(Collection("kernel", check))
namespace.add_collection(Collection("build", measured, real))
namespace.add_collection(
    Collection("lab", bake, list_, lab_up, shell, lab_run, matrix, box, lab_clean)
)
namespace.add_collection(Collection("report", open_))
