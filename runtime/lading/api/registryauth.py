"""Logins to registries as clients give them: in a header, or as a body."""

from __future__ import annotations

import base64
import binascii

import msgspec

from lading.errors import InvalidParameter
from lading.image.registry.settings import Credentials

HEADER = "X-Registry-Auth"
CONFIG_HEADER = "X-Registry-Config"
HUB = "docker.io"


class AuthConfig(msgspec.Struct):
    """A login (API definition AuthConfig); `auth` is base64 of `name:password`."""

    username: str = ""
    password: str = ""
    auth: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""

    def credentials(self) -> Credentials:
        """Give the login as the registry client takes it."""
        name, password = self.username, self.password
        if self.auth and not name:
            name, _, password = _decoded(self.auth).decode(errors="replace").partition(":")
        return Credentials(name, password, self.identitytoken, self.registrytoken)

    def host(self) -> str:
        """Give the registry's host; Docker Hub's address has a path of its own."""
        bare = self.serveraddress.partition("://")[2] or self.serveraddress
        host = bare.partition("/")[0]
        return HUB if host in ("", "index.docker.io", "registry-1.docker.io") else host


def from_header(text: str) -> Credentials:
    """Read the login in `X-Registry-Auth`; none when the header is absent or empty.

    Raises InvalidParameter when it is not base64 of JSON.
    """
    if not text:
        return Credentials()
    try:
        return msgspec.json.decode(_decoded(text) or b"{}", type=AuthConfig).credentials()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidParameter(f"invalid {HEADER} header: it is not base64 of JSON") from None


def from_config_header(text: str) -> dict[str, Credentials]:
    """Read the logins in `X-Registry-Config`, by registry host.

    None of them when it is malformed: a build may do without, and Docker's goes on, too.
    """
    try:
        logins = msgspec.json.decode(_decoded(text) or b"{}", type=dict[str, AuthConfig])
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidParameter):
        return {}
    found: dict[str, Credentials] = {}
    for server, login in logins.items():
        login.serveraddress = server
        found[login.host()] = login.credentials()
    return found


def _decoded(text: str) -> bytes:
    """Decode base64 in either of its alphabets, with or without the padding."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        raise InvalidParameter(f"invalid {HEADER} header: it is not base64 of JSON") from None
