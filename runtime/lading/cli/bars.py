"""Progress bars for the layers of a pull, push or load, and the lines of a build, on a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Bars:
    """A bar for each layer that is on its way; everything else is printed above them."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._console = Console(file=sys.stderr if to_stderr else sys.stdout, highlight=False)
        self._progress = Progress(
            TextColumn("{task.fields[layer]}"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            DownloadColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started = False

    def show(self, message: dict[str, Any]) -> None:
        """Show one message."""
        if "aux" in message:
            return
        if "stream" in message:
            self._print(message["stream"], end="")
            return
        layer, status = message.get("id", ""), message.get("status", "")
        if not layer or status.startswith("Pulling from"):
            self._print(f"{layer}: {status}" if layer else status)
            return
        self._update(layer, status, message.get("progressDetail") or {})

    def _print(self, text: str, end: str = "\n") -> None:
        target = self._progress.console if self._started else self._console
        target.print(text, end=end, markup=False, soft_wrap=True)

    def _update(self, layer: str, status: str, detail: dict[str, Any]) -> None:
        if not self._started:
            self._progress.start()
            self._started = True
        if layer not in self._tasks:
            self._tasks[layer] = self._progress.add_task(status, total=None, layer=layer)
        task = self._tasks[layer]
        self._progress.update(task, description=status)
        if detail.get("units"):
            return
        total, current = detail.get("total"), detail.get("current")
        if total:
            self._progress.update(task, total=total, completed=current or 0)
        elif current is not None:
            self._progress.update(task, completed=current)
        elif status in ("Pull complete", "Already exists", "Pushed", "Layer already exists"):
            size = self._progress.tasks[task].total or 1
            self._progress.update(task, total=size, completed=size)

    def close(self) -> None:
        """Leave the bars as they are."""
        if self._started:
            self._progress.stop()
