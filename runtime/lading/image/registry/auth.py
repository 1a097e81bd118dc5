"""How a registry is told who asks: basic logins, and bearer tokens fetched for a scope.

Source: the distribution project's "Token Authentication Specification" and "OAuth 2.0".
"""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from lading.errors import Unauthorized
from lading.image.registry.failures import NoLogin, describe
from lading.image.registry.settings import Credentials

if TYPE_CHECKING:
    import aiohttp

_PARAMETER = re.compile(r'([a-zA-Z_]+)=(?:"([^"]*)"|([^\s,"]+))')
_MARGIN = 10.0
"""Seconds before its end from which a token is not used any more."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A WWW-Authenticate header: its scheme in lower case and its parameters."""

    scheme: str
    parameters: dict[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Read the header; an empty one gives an empty scheme."""
        scheme, _, rest = header.strip().partition(" ")
        found = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}
        return cls(scheme.lower(), found)


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    expires_in: int = 60


@dataclass(slots=True)
class Authenticator:
    """Answers the challenges of one registry; tokens are kept until shortly before their end."""

    credentials: Credentials
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _basic: bool = False
    _challenge: Challenge | None = None

    async def header(self, session: aiohttp.ClientSession, scope: str) -> dict[str, str]:
        """The Authorization header for a request within `scope`; empty before any challenge."""
        if self.credentials.registry_token:
            return {"Authorization": f"Bearer {self.credentials.registry_token}"}
        if self._basic:
            return {"Authorization": _basic_header(self.credentials)}
        if self._challenge is None:
            return {}
        kept = self._tokens.get(scope)
        if kept is None or kept[1] <= time.monotonic():
            kept = await self._fetch(session, self._challenge, scope)
            self._tokens[scope] = kept
        return {"Authorization": f"Bearer {kept[0]}"}

    def learn(self, header: str, scope: str) -> bool:
        """Take in a 401's challenge; False when a further try cannot help.

        Raises NoLogin: the registry wants a login and there is none.
        """
        challenge = Challenge.parse(header)
        if challenge.scheme == "basic":
            if not self.credentials.username:
                raise NoLogin("no basic auth credentials")
            again, self._basic = not self._basic, True
            return again
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            again = self._tokens.pop(scope, None) is not None or self._challenge is None
            self._challenge = challenge
            return again
        return False

    async def _fetch(
        self, session: aiohttp.ClientSession, challenge: Challenge, scope: str
    ) -> tuple[str, float]:
        realm = challenge.parameters["realm"]
        service = challenge.parameters.get("service", "")
        if self.credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self.credentials.identity_token,
                "service": service,
                "scope": scope,
                "client_id": "lading",
            }
            request = session.post(realm, data=form)
        else:
            query = {"service": service, "scope": scope} if scope else {"service": service}
            headers = {}
            if self.credentials.username:
                query["account"] = self.credentials.username
                headers["Authorization"] = _basic_header(self.credentials)
            request = session.get(realm, params=query, headers=headers)
        async with request as response:
            body = await response.read()
            if response.status != 200:
                raise Unauthorized(f'Get "{realm}": {describe(response.status, body)}')
        try:
            answer = msgspec.json.decode(body, type=_Token)
        except msgspec.MsgspecError:
            raise Unauthorized(f"the token server at {realm} gave no token") from None
        value = answer.token or answer.access_token
        if not value:
            raise Unauthorized(f"the token server at {realm} gave no token")
        return value, time.monotonic() + max(answer.expires_in, 60) - _MARGIN


def _basic_header(credentials: Credentials) -> str:
    login = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(login).decode()
