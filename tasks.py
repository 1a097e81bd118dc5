"""What can be done with this checkout; `invoke -l` lists it, `invoke --help TASK` explains one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from invoke import Collection, Context, Exit, task

PROJECT = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
sys.path.insert(0, str(PROJECT))

Body = TypeVar("Body", bound=Callable[..., Any])


def one_sentence(body: Body) -> Body:
    """Turn the lab's errors into one sentence and exit status 1."""
    from lab.shell import LabError

    @wraps(body)
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return body(*args, **options)
        except LabError as error:
            raise Exit(f"invoke: {error}", code=1) from None
        except KeyboardInterrupt:
            raise Exit("invoke: interrupted", code=130) from None

    return guarded  # type: ignore[return-value]


def _run(context: Context, command: str) -> None:
    with context.cd(str(PROJECT)):
        done = context.run(f"{BIN}/{command}", warn=True, pty=sys.stdout.isatty())
    if done.exited:
        raise Exit(f"invoke: {command.split(maxsplit=1)[0]} failed", code=1)


@task
@one_sentence
def demo(_context: Context) -> None:
    """Run a container's whole life and show what happened at each layer."""
    from lab.demo import run

    run()


@task
@one_sentence
def lint(context: Context) -> None:
    """Check style, formatting and which way imports run."""
    _run(context, "ruff check .")
    _run(context, "ruff format --check .")
    _run(context, "lint-imports")


@task
@one_sentence
def types(context: Context) -> None:
    """Check the types of everything (mypy, strict)."""
    _run(context, "mypy")


@task
@one_sentence
def unit(context: Context) -> None:
    """Test the parts on their own."""
    _run(context, "python -m pytest tests")


@task(help={"against": "the reference: docker (its newest release here)"})
@one_sentence
def parity(context: Context, against: str = "docker") -> None:
    """Run every scenario on Lading and on the reference, and compare what they observe."""
    if against != "docker":
        raise Exit(f"invoke: --against={against}: the reference here is docker", code=1)
    _run(context, "python -m pytest scenarios --engine both")


@task(help={"engine": "lading (default), docker, or both", "only": "a file or folder of scenarios"})
@one_sentence
def scenarios(context: Context, engine: str = "lading", only: str = "scenarios") -> None:
    """Run scenarios on one engine."""
    _run(context, f"python -m pytest {only} --engine {engine}")


@task(lint, types, unit, parity)
def test(_context: Context) -> None:
    """Check everything: lint, types, unit tests, and scenarios beside real Docker."""


@task(help={"release": "20.10, 26.1 or 28.5 (the default)"})
@one_sentence
def up(_context: Context, release: str = "28.5") -> None:
    """Bring up real Docker in namespaces of its own, and print where it listens."""
    from lab.reference import Reference

    engine = Reference(release)
    engine.up()
    print(f"export DOCKER_HOST={engine.host}")


@task(help={"release": "20.10, 26.1 or 28.5 (the default)"})
@one_sentence
def down(_context: Context, release: str = "28.5") -> None:
    """End the reference engine and remove what it left on the host."""
    from lab.reference import Reference

    Reference(release).down()


@task
@one_sentence
def status(_context: Context) -> None:
    """Show each reference engine, one JSON line a release."""
    from lab.reference import RELEASES, Reference

    for release in RELEASES:
        print(Reference(release).describe())


@task(help={"rounds": "how often each engine has its turn (default 20)"})
@one_sentence
def start(_context: Context, rounds: int = 20) -> None:
    """Measure container starts, the command line and memory beside Docker, as ratios."""
    from lab.bench.start import run

    run(rounds)


@task(
    help={
        "config": "a kernel configuration file",
        "running": "the kernel that runs here (the default)",
        "json": "print JSON instead of a table",
    }
)
@one_sentence
def check(_context: Context, config: str = "", running: bool = False, json: bool = False) -> None:
    """Show what a kernel offers a container engine, and what each missing option costs."""
    from lab.kernels.check import as_json, as_table, usable
    from lab.kernels.check import check as findings_of
    from lab.kernels.config import NoConfig, read
    from lab.kernels.config import running as running_config

    if config and running:
        raise Exit("invoke: give either --config FILE or --running", code=1)
    try:
        kernel = read(Path(config)) if config else running_config()
    except NoConfig as error:
        raise Exit(f"invoke: {error}", code=1) from None
    findings = findings_of(kernel)
    print(as_json(kernel, findings) if json else "\n".join(as_table(kernel, findings)))
    if not usable(findings):
        raise Exit(code=1)


namespace = Collection(demo, lint, types, unit, scenarios, parity, test)
namespace.add_collection(Collection("reference", up, down, status))
namespace.add_collection(Collection("bench", start))
namespace.add_collection(Collection("kernel", check))
