"""`invoke lab.bake`: what the cells need, with its progress shown."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lab.bake import kernels, project, roots
from lab.bake.store import Baked, Recipe, find
from lab.cells import Cell
from lab.shell import LabError

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mkfs.erofs": "erofs-utils",
    "dpkg-deb": "dpkg",
    "gpgv": "gpgv",
    "depmod": "kmod",
    "busybox": "busybox-static",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
}


@dataclass(frozen=True, slots=True)
class _Job:
    """A root or a kernel, and a cell that needs it."""

    recipe: Recipe
    cell: Cell


def needed() -> None:
    """Raise LabError that says how to install what baking and running machines wants."""
    lacking = sorted({pack for name, pack in PROGRAMS.items() if shutil.which(name) is None})
    if lacking:
        raise LabError(
            f"baking wants what is not installed: `sudo apt-get install {' '.join(lacking)}`"
        )


def bake(cells: Sequence[Cell], *, refresh: bool = False) -> None:
    """Bake each root and kernel that the cells need; with `refresh` as the archive is now.

    What fails does not keep the others from being baked. Raises LabError that names what failed.
    """
    needed()
    jobs = list(_jobs(cells))
    failures: list[str] = []
    console = Console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("")
        for number, job in enumerate(jobs, 1):
            title = f"{number}/{len(jobs)} {job.recipe.title}"
            progress.update(bar, description=title)
            started = time.monotonic()
            there = not refresh and find(job.recipe) is not None
            try:
                made = _one(job, progress, bar, title, refresh=refresh)
            except LabError as error:
                failures.append(str(error))
                console.print(f"[red]failed[/]  {title}: {error}", highlight=False, soft_wrap=True)
                continue
            took = "was there" if there else f"{time.monotonic() - started:.0f} s"
            console.print(_line(title, made, took), highlight=False, soft_wrap=True)
        progress.update(bar, description="project")
        if not failures:
            _projects(cells)
    if failures:
        raise LabError(f"{len(failures)} of {len(jobs)} could not be baked; {failures[0]}")


def _jobs(cells: Sequence[Cell]) -> Iterator[_Job]:
    seen: set[str] = set()
    for cell in cells:
        for recipe in (kernels.recipe(cell), roots.recipe(cell)):
            if recipe.title not in seen:
                seen.add(recipe.title)
                yield _Job(recipe, cell)


def _one(job: _Job, progress: Progress, bar: object, title: str, *, refresh: bool) -> Baked:
    def tell(line: str) -> None:
        progress.update(bar, description=f"{title}: {line[:80]}")  # type: ignore[arg-type]

    if job.recipe.kind == "kernel":
        tell("fetching and packing")
        return kernels.bake(job.cell, refresh=refresh)
    return roots.bake(job.cell, tell, refresh=refresh)


def _projects(cells: Sequence[Cell]) -> None:
    for cell in {roots.recipe(cell).title: cell for cell in cells}.values():
        project.bake(roots.bake(cell))


def _line(title: str, made: Baked, took: str) -> str:
    size = sum(path.stat().st_size for path in made.files.values()) >> 20
    what = made.facts.get("package") or f"Python {made.facts['python']}"
    digest = made.digests.get("root") or made.digests["modules"]
    return f"[green]baked[/]   {title}: {what}, {size} MiB, sha256:{digest[:12]} ({took})"
