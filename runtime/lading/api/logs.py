"""The daemon's own log: structured lines on standard error, in the form of Docker's."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
"""`--log-level` words and what they mean to `logging`."""

_WORDS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}


def quoted(text: str) -> str:
    """Quote a value unless it is a plain word, so that a line splits back into its fields."""
    if text and all(character.isalnum() or character in "-._/@^+:" for character in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class LineFormatter(logging.Formatter):
    """`time=… level=… msg=… module=…`; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = (
            f"time={stamp}.{int(record.msecs):03d}Z level={_WORDS.get(record.levelno, 'info')} "
            f"msg={quoted(record.getMessage())} module={record.name}"
        )
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Send the log to `stream`, standard error unless told otherwise, from `level` on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # It tells of every request that is not HTTP, with a traceback; the client gets a 400 for it.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    set_level(level)


def set_level(level: str) -> None:
    """Change the level of the daemon's own messages (libraries stay at warnings)."""
    logging.getLogger("lading").setLevel(LEVELS[level])
