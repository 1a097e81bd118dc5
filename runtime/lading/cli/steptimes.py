"""Say after each step of a build how long it took, or that it came from the cache."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

CACHED = " ---> Using cache"


def timed(
    messages: Iterator[dict[str, Any]], clock: Callable[[], float] = time.monotonic
) -> Iterator[dict[str, Any]]:
    """Pass a build's messages on, with one more after each step."""
    started: float | None = None
    cached = False
    for message in messages:
        text = message.get("stream", "")
        if text.startswith(("Step ", "Successfully built")):
            if started is not None:
                how = "cached" if cached else f"{clock() - started:.2f} s"
                yield {"stream": f"      {how}\n"}
            started, cached = clock(), False
        cached = cached or text.startswith(CACHED)
        yield message
