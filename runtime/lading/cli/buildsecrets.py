"""What `build --secret` and `build --ssh` hand to the daemon beside the context.

Secrets go in front of the context, as members of its archive below `.lading-<token>/`; the header
X-Lading-Secrets tells the daemon the token, without which such a name means nothing. So they are in
no URL and no log, and a file of the context cannot pass for one. An SSH agent is named by its
socket, which the daemon opens itself: it has to be on this host.
"""

from __future__ import annotations

import os
import secrets

from lading.cli.buildcontext import MAGIC, BuildContext
from lading.cli.failures import CliError
from lading.cli.tarpack import Packer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SECRETS_HEADER = "X-Lading-Secrets"
AGENTS_HEADER = "X-Lading-Ssh"
SECRET_MAX = 500 * 1024


def takes_secrets(version: dict[str, Any]) -> bool:
    """Tell from a daemon's answer to /version whether it knows the headers."""
    return bool((version.get("Platform") or {}).get("Name") == "Lading")


def parse_secret(text: str) -> tuple[str, str, str]:
    """Read `id=ID[,src=FILE|,env=NAME]`: the id, the file and the variable; raises ValueError."""
    fields = {"type": "", "id": "", "src": "", "env": ""}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = "src" if key == "source" else key
        if key not in fields or not equals:
            raise ValueError(f'"{part}" is none of id=ID, src=FILE, env=NAME')
        fields[key] = value
    if any(part in ("", ".", "..") for part in fields["id"].split("/")):
        raise ValueError("a secret needs an id without empty and dot parts, as in id=token")
    if fields["type"] not in ("", "file", "env"):
        raise ValueError(f"unsupported secret type {fields['type']!r}; it is file or env")
    if fields["type"] == "env" and not fields["env"]:
        fields["env"], fields["src"] = fields["src"] or fields["id"], ""
    return fields["id"], fields["src"], fields["env"]


def _content(name: str, path: str, variable: str) -> bytes:
    """Read one secret; without file and variable, both are tried by the secret's own id."""
    if not path and not variable and name in os.environ:
        variable = name
    if variable:
        if variable not in os.environ:
            raise CliError(f"secret {name}: the environment has no variable {variable}")
        return os.environb[os.fsencode(variable)]
    try:
        with open(os.path.expanduser(path or name), "rb") as file:
            content = file.read(SECRET_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise CliError(f"secret {name}: cannot read {path or name}: {reason}") from None
    if len(content) > SECRET_MAX:
        raise CliError(f"secret {name}: it has more than {SECRET_MAX // 1024} KiB")
    return content


def add_secrets(context: BuildContext, given: list[tuple[str, str, str]]) -> dict[str, str]:
    """Put secrets in front of a context; gives the headers that go with it."""
    if not given:
        return {}
    token = secrets.token_hex(16)
    packer = Packer()
    members = [
        b"".join(packer.data(f".lading-{token}/{name}", _content(name, path, variable), mode=0o600))
        for name, path, variable in given
    ]
    context.stream = _in_front(b"".join(members), context.stream, packer.end())
    return {SECRETS_HEADER: token}


def _in_front(members: bytes, stream: Iterator[bytes] | None, end: bytes) -> Iterator[bytes]:
    if stream is None:
        # The daemon fetches the context; what it is sent holds the secrets only.
        yield members + end
        return
    head = next(stream, b"")
    if head.startswith(MAGIC):
        raise CliError("secrets cannot go with a compressed context; send it as a plain archive")
    yield members + head
    yield from stream


def parse_agent(text: str) -> tuple[str, str]:
    """Read `ID[=SOCKET]`; raises ValueError."""
    name, _, path = text.partition("=")
    if not name:
        raise ValueError("an SSH agent needs an id, as in default or default=SOCKET")
    return name, path


def agents(given: list[tuple[str, str]], *, local: bool) -> dict[str, str]:
    """Give the header that names SSH agents; raises CliError for one that cannot be used."""
    if not given:
        return {}
    if not local:
        raise CliError("--ssh needs a daemon on this host, whose address begins with unix://")
    from lading.cli import fastjson

    return {AGENTS_HEADER: fastjson.dumps({name: _socket(name, path) for name, path in given})}


def _socket(name: str, path: str) -> str:
    import stat

    path = os.path.expanduser(path or os.environ.get("SSH_AUTH_SOCK", ""))
    if not path:
        raise CliError(f"SSH agent {name}: none is named and SSH_AUTH_SOCK is not set")
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise CliError(f"SSH agent {name}: {path}: {(error.strerror or '').lower()}") from None
    if not stat.S_ISSOCK(mode):
        raise CliError(f"SSH agent {name}: {path} is no agent's socket; add keys with ssh-add")
    return os.path.abspath(path)
