"""Pseudo-terminals: open a pair on any devpts instance, size, controlling terminal (pty(7))."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from lading.kernel.errors import Attempt

TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER = 0x80045430, 0x40045431, 0x5441


def open_master(multiplexer: str = "/dev/ptmx") -> int:
    """Open a new pty on the devpts instance of *multiplexer*; give its unlocked master side.

    The descriptor is close-on-exec and does not become the controlling terminal.
    """
    with Attempt("open pty", multiplexer):
        master = os.open(multiplexer, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        with Attempt("unlock pty", multiplexer):
            fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    except OSError:
        os.close(master)
        raise
    return master


def open_slave(master: int) -> int:
    """Open the other side of *master*, wherever its devpts is mounted (Linux 4.13)."""
    with Attempt("open the slave of pty", master):
        return fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def number(master: int) -> int:
    """Give N of the slave's /dev/pts/N."""
    with Attempt("ask for the number of pty", master):
        answer = fcntl.ioctl(master, TIOCGPTN, struct.pack("I", 0))
    return int(struct.unpack("I", answer)[0])


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set the window size in characters; the foreground process group gets SIGWINCH."""
    with Attempt("resize terminal", terminal):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def get_size(terminal: int) -> tuple[int, int]:
    """Give (rows, columns) of the terminal."""
    with Attempt("ask for the size of terminal", terminal):
        answer = fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))
    rows, columns, _, _ = struct.unpack("HHHH", answer)
    return rows, columns


def set_controlling(terminal: int) -> None:
    """Make *terminal* the controlling terminal; the caller leads a session without one."""
    with Attempt("take the controlling terminal", terminal):
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
