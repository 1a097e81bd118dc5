"""A build on a terminal: a line for each step, with its time or that it came from the cache.

What commands say stands below their step while they run. Source of the messages' shape: what
Docker's classic builder says (API operation ImageBuild).
"""

from __future__ import annotations

import re
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lading.cli.progress import Display

TIMES_HEADER = "X-Lading-Times"
"""Request header of POST /build: every message is to say when it was (`timeNano`)."""

_INDENT = "      "
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_IMAGE = re.compile(r" ---> (?:[0-9a-f]{12})?\n")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CACHED = " ---> Using cache\n"
_RUNNING = " ---> Running in "
_REMOVED = " ---> Removed intermediate container "
_BUILT = "Successfully built "
_TAGGED = "Successfully tagged "


class Steps:
    """Shows a build's messages, in lines of at most `width` columns of its own.

    Stages may run side by side: a message's own time counts, and `clock`'s, in seconds, where it
    has none.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        width: int,
        bars: Callable[[], Display],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._write = write
        self._width = width
        self._new_bars = bars
        self._bars: Display | None = None
        self._clock = clock
        self._began = clock()
        self._step: _Step | None = None
        self._steps = 0
        self._cached = 0

    def show(self, message: dict[str, Any]) -> None:
        """Show one message."""
        if "aux" in message:
            return
        stamp = message.get("timeNano")
        moment = stamp / 1e9 if stamp else self._clock()
        if "stream" not in message:
            self._transfer(message)
        else:
            self._close_bars()
            self._say(message["stream"], moment)
        if self._step is not None:
            self._step.last = moment

    def close(self) -> None:
        """End the line of a step that was cut short, and tell of the container that it left."""
        self._close_bars()
        step, self._step = self._step, None
        if step is None:
            return
        step.break_line(self._write)
        if step.container:
            self._write(f"{_INDENT}its container {step.container} is left as it ended\n")

    def _say(self, text: str, moment: float) -> None:
        found, step = _STEP.fullmatch(text), self._step
        if found is not None:
            self._end()
            self._begin(found, moment)
        elif text.startswith(_BUILT):
            self._end()
            self._built(text.removeprefix(_BUILT).strip())
        elif text.startswith(_TAGGED):
            self._write(f"Tagged {text.removeprefix(_TAGGED)}")
        elif step is None:
            self._write(text)
        elif text == _CACHED:
            step.cached = True
        elif text.startswith(_RUNNING):
            step.container = text.removeprefix(_RUNNING).strip()
        elif text.startswith(_REMOVED):
            step.container = ""
        elif not _IMAGE.fullmatch(text) and (text != "\n" or step.said):
            step.output(text, self._write)
        if step is not None:
            step.said = True

    def _begin(self, found: re.Match[str], moment: float) -> None:
        number, total, text = found.groups()
        line = f"[{number}/{total}] {text.partition(chr(10))[0]}"
        room = max(20, self._width - 12)
        if len(line) > room:
            line = f"{line[: room - 1]}…"
        self._write(line)
        self._step = _Step(moment, len(line))
        self._steps += 1

    def _end(self) -> None:
        step, self._step = self._step, None
        if step is None:
            return
        how = "cached" if step.cached else _length(step.last - step.began)
        self._cached += step.cached
        at = step.column if step.bare else 0
        if not step.bare:
            step.break_line(self._write)
        self._write(f"{' ' * max(1, self._width - 1 - at - len(how))}{how}\n")

    def _built(self, image: str) -> None:
        counted = f"{self._steps} step{'s'[: self._steps != 1]}, {self._cached} cached"
        self._write(f"Built {image} in {_length(self._clock() - self._began)}: {counted}\n")

    def _transfer(self, message: dict[str, Any]) -> None:
        if self._step is not None:
            self._step.break_line(self._write)
        self._bars = self._bars or self._new_bars()
        self._bars.show(message)

    def _close_bars(self) -> None:
        if self._bars is not None:
            self._bars.close()
            self._bars = None


class _Step:
    """A step that is being shown; `bare` while nothing stands behind its words on their line."""

    def __init__(self, began: float, column: int) -> None:
        self.began = self.last = began
        self.column = column
        self.bare = True
        self.said = False
        self.cached = False
        self.container = ""
        self._fresh = True

    def output(self, text: str, write: Callable[[str], None]) -> None:
        """Show what a command says, below the step's line."""
        if self.bare:
            write("\n")
            self.bare = False
        shown = []
        for line in _LINE.findall(text):
            visible = _ESCAPE.sub("", line)
            # Colours that end behind a line's end must not begin the next one.
            if self._fresh and visible.strip("\r\n"):
                shown.append(_INDENT)
            shown.append(re.sub(r"\r(?!\n)", f"\r{_INDENT}", line))
            if visible:
                self._fresh = visible.endswith("\n")
        write("".join(shown))

    def break_line(self, write: Callable[[str], None]) -> None:
        """Begin a new line, unless one has begun."""
        if self.bare or not self._fresh:
            write("\n")
        self.bare, self._fresh = False, True


def _length(seconds: float) -> str:
    if seconds < 60:
        return f"{max(0.0, seconds):.2f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
