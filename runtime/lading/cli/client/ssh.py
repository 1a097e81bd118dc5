"""A daemon on another machine by `ssh://[user@]host[:port][/socket]`: ssh carries the bytes.

On the other side `lading system dial-stdio` passes its stdin and stdout to the daemon there.
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_STREAM, socketpair

from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lading.cli.client.sockets import Stream


def command_of(text: str) -> list[str]:
    """Give the words that reach the daemon of an ssh:// address; raises CliError for a bad one."""
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or host.startswith("-") or parts.query or parts.fragment or parts.password:
        raise CliError(
            f"the daemon's address {text!r} is no ssh address: write ssh://[user@]host[:port]"
        )
    words = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    if parts.username:
        words += ["-l", unquote(parts.username)]
    if port:
        words += ["-p", str(port)]
    words += ["--", host, "lading"]
    if parts.path.strip("/"):
        from shlex import quote

        words += ["--host", quote(f"unix://{parts.path}")]
    return [*words, "system", "dial-stdio"]


def connect(text: str) -> Stream:
    """Start ssh and give the stream that it carries; raises CliError where there is no ssh.

    What ssh itself has to say goes to stderr. It has a session of its own, so that an interrupt
    reaches the command alone; it ends with the stream.
    """
    words = command_of(text)
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    number = theirs.fileno()
    actions = [(os.POSIX_SPAWN_DUP2, number, 0), (os.POSIX_SPAWN_DUP2, number, 1)]
    try:
        os.posix_spawnp(words[0], words, os.environ, file_actions=actions, setsid=True)
    except OSError as error:
        ours.close()
        raise CliError(
            f"{text} needs the program ssh, which cannot be started: {error.strerror}"
        ) from None
    finally:
        theirs.close()
    return ours
