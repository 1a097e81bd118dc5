"""One registry, spoken to for one repository: manifests and blobs.

Source: OCI distribution-spec 1.1, "Pull" and "Push".
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import aiohttp
import msgspec

from lading.errors import InvalidParameter, LadingError, NotFound, Unavailable
from lading.image.download import reason
from lading.image.reference import Reference
from lading.image.registry.auth import Authenticator
from lading.image.registry.failures import NoLogin, RegistryFailure, failure
from lading.image.registry.settings import Credentials, Endpoint, RegistrySettings
from lading.storage.digests import Digest, digest_of

MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes; the distribution-spec lets a registry refuse larger manifests, so nobody makes them."""
ATTEMPTS = 5
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})

_ELSEWHERE = (Unavailable, RegistryFailure, NotFound)
"""Failures of an endpoint after which another one may be the right one."""

_TAGS_MAX = 100_000

ACCEPTED = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Interrupted(Unavailable):
    """The registry began to answer, and broke off."""


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest as the registry has it."""

    data: bytes
    media_type: str
    digest: Digest


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class RegistryClient:
    """Requests to one endpoint about one repository; an async context manager.

    A request that fails for a passing reason (no connection, 429, 5xx) is made again, up to
    `ATTEMPTS` times with a doubling pause or the one that Retry-After asks for.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        repository: str,
        credentials: Credentials,
        settings: RegistrySettings,
    ) -> None:
        self.endpoint = endpoint
        self.repository = repository
        self._auth = Authenticator(credentials)
        self._pause = settings.pause
        patience = settings.patience
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience, sock_read=patience)
        connector = aiohttp.TCPConnector(ssl=_tls(endpoint, settings))
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=True,
            auto_decompress=False,
            headers={"User-Agent": "lading", "Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def url(self, tail: str) -> str:
        """The address of `tail` within the repository."""
        return f"{self.endpoint.url}/v2/{self.repository}/{tail}"

    async def ping(self) -> None:
        """Check that a registry answers here and takes the login (`GET /v2/`)."""
        url = f"{self.endpoint.url}/v2/"
        async with self.request("GET", url, scope="", attempts=1) as response:
            await response.read()

    async def manifest(self, name: str) -> RawManifest:
        """The manifest or index `name` (a tag or a digest), its digest verified.

        Raises NotFound, Unauthorized, and InvalidParameter when it is not what was asked for.
        """
        accept = ", ".join(ACCEPTED)
        url = self.url(f"manifests/{name}")
        data, response = await self._whole(url, MANIFEST_LIMIT, headers={"Accept": accept})
        media_type = response.content_type
        claimed = response.headers.get("Docker-Content-Digest", "")
        digest = digest_of(data)
        wanted = name if name.startswith("sha256:") else claimed
        if wanted.startswith("sha256:") and digest != wanted:
            raise InvalidParameter(
                f"manifest verification failed for digest {wanted}: its content has {digest}"
            )
        return RawManifest(data, media_type, digest)

    async def document(self, digest: Digest, limit: int) -> bytes:
        """A small blob, of at most `limit` bytes, whole and verified.

        Raises InvalidParameter: it is larger, or not what its digest says.
        """
        data, _ = await self._whole(self.url(f"blobs/{digest}"), limit)
        if digest_of(data) != digest:
            raise InvalidParameter(
                f"image config verification failed for digest {digest}: "
                f"what the registry sent has {digest_of(data)}"
            )
        return data

    async def tags(self) -> list[str]:
        """All tags of the repository, in the registry's order, however many pages they are."""
        found: list[str] = []
        url = self.url("tags/list")
        while url:
            data, response = await self._whole(url, MANIFEST_LIMIT)
            try:
                found += msgspec.json.decode(data, type=_Tags).tags or []
            except msgspec.MsgspecError as error:
                raise InvalidParameter(
                    f"the registry's list of tags is unusable: {error}"
                ) from None
            following = response.links.get("next")
            more = following is not None and len(found) < _TAGS_MAX
            url = self.absolute(str(following["url"])) if following and more else ""
        return found

    async def _whole(
        self, url: str, limit: int, **more: Any
    ) -> tuple[bytes, aiohttp.ClientResponse]:
        """The body of an answer, asked for again when it breaks off, and the answer's head.

        Raises InvalidParameter when it is longer than `limit` bytes.
        """
        for attempt in range(1, ATTEMPTS + 1):
            data = bytearray()
            try:
                async with self.request("GET", url, **more) as response:
                    while len(data) <= limit and (piece := await response.content.readany()):
                        data += piece
            except Interrupted:
                if attempt == ATTEMPTS:
                    raise
                continue
            break
        if len(data) > limit:
            raise InvalidParameter(f'Get "{url}": the answer is larger than {limit} bytes')
        return bytes(data), response

    async def put_manifest(self, name: str, data: bytes, media_type: str) -> Digest:
        """Store a manifest under a tag or its digest, and return the digest."""
        headers = {"Content-Type": media_type}
        url = self.url(f"manifests/{name}")
        async with self.request("PUT", url, headers=headers, data=data, push=True) as response:
            await response.read()
        return digest_of(data)

    async def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob in bytes, None when the repository does not have it."""
        try:
            async with self.request("HEAD", self.url(f"blobs/{digest}"), push=True) as response:
                return int(response.headers.get("Content-Length", "0"))
        except NotFound:
            return None

    @asynccontextmanager
    async def blob(self, digest: Digest, offset: int = 0) -> AsyncIterator[aiohttp.ClientResponse]:
        """A blob's bytes from `offset`; a registry without ranges answers 200 from the start."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self.request("GET", self.url(f"blobs/{digest}"), headers=headers) as response:
            yield response

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        scope: str | None = None,
        push: bool = False,
        attempts: int = ATTEMPTS,
        **more: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request, authorised and, for passing failures, repeated; gives a 2xx response.

        Raises the LadingError that `failures.failure` makes of any other answer, Unavailable
        when the registry cannot be reached, Interrupted when its answer breaks off. A body given
        as an iterator is sent only once.
        """
        actions = "pull,push" if push else "pull"
        wanted = f"repository:{self.repository}:{actions}" if scope is None else scope
        response = await self._settled(method, url, wanted, attempts, more)
        try:
            yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            reason = str(error) or "the registry stopped answering"
            raise Interrupted(f'{method.capitalize()} "{url}": {reason}') from error
        finally:
            response.release()

    async def _settled(
        self, method: str, url: str, scope: str, attempts: int, more: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        doing = f'{method.capitalize()} "{url}"'
        once = "data" in more and not isinstance(more["data"], bytes)
        attempt = 1
        while True:
            pause = min(self._pause * 2 ** (attempt - 1), 8.0)
            last = once or attempt >= attempts
            try:
                response = await self._send(method, url, scope, more)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                if last or isinstance(error, aiohttp.ClientSSLError):
                    raise Unavailable(f"{doing}: {reason(error)}") from error
            else:
                if response.status < 300:
                    return response
                if response.status not in _TRANSIENT or last:
                    body = b"" if method == "HEAD" else await response.read()
                    response.release()
                    raise failure(response.status, body, doing)
                pause = _retry_after(response, pause)
                response.release()
            await asyncio.sleep(pause)
            attempt += 1

    async def _send(
        self, method: str, url: str, scope: str, more: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        """Send, and once more with an answer to the challenge when the registry poses one."""
        tried = 0
        while True:
            headers = dict(more.get("headers", {})) | await self._auth.header(self._session, scope)
            response = await self._session.request(
                method,
                url,
                **{**more, "headers": headers},
                allow_redirects=method in ("GET", "HEAD"),
            )
            if response.status != 401 or tried:
                return response
            challenge = response.headers.get("WWW-Authenticate", "")
            response.release()
            try:
                repeat = self._auth.learn(challenge, scope)
            except NoLogin as error:
                raise NoLogin(f'{method.capitalize()} "{url}": {error.message}') from None
            if not repeat:
                return response
            tried += 1

    def absolute(self, location: str) -> str:
        """A Location header's address, which may be relative to the registry."""
        return urljoin(self.endpoint.url + "/", location)


async def connect(
    reference: Reference,
    credentials: Credentials,
    settings: RegistrySettings,
    *,
    pull: bool,
    without: Collection[Endpoint] = (),
) -> RegistryClient:
    """A client at the first endpoint of `reference`'s registry, but `without`, that answers.

    Raises Unavailable with the last endpoint's reason when none does, Unauthorized when the
    login is refused.
    """
    last: LadingError | None = None
    for endpoint in settings.endpoints(reference, pull=pull):
        if endpoint in without:
            continue
        login = Credentials() if endpoint.mirror else credentials
        client = RegistryClient(endpoint, reference.path, login, settings)
        try:
            await client.ping()
        except LadingError as error:
            await client.close()
            if not endpoint.mirror and not isinstance(error, _ELSEWHERE):
                raise
            last = error
            continue
        return client
    raise last or Unavailable(f"no endpoint is configured for {reference.domain}")


def _retry_after(response: aiohttp.ClientResponse, default: float) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 60.0) if value.isdigit() else default


def _tls(endpoint: Endpoint, settings: RegistrySettings) -> ssl.SSLContext | bool:
    if not endpoint.url.startswith("https:"):
        return False
    authorities, clients = settings.certificate_files(endpoint.host)
    context = ssl.create_default_context()
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in authorities:
        context.load_verify_locations(path)
    for certificate, key in clients:
        context.load_cert_chain(certificate, key)
    return context
