"""A registry in this process that misbehaves as a test asks: written without our client."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.unit.image.makers import config, digest, tar

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(data), "digest": digest(data)}


def zipped(data: bytes) -> bytes:
    """The same bytes from the same bytes, whatever the time, which gzip writes down."""
    return gzip.compress(data, mtime=0)


class FakeRegistry:
    """Blobs and manifests of any repository, bearer tokens when `tokens`, and faults by path.

    `faults` are asked in order before every answer; `log` holds "METHOD path" of every request.
    """

    def __init__(self, *, tokens: bool = False, login: tuple[str, str] | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.tags: list[str] = []
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.scopes: list[str] = []
        self.uploads: dict[str, bytearray] = {}
        self.ranges = True
        self._tokens = tokens
        self._login = login
        self._valid: set[str] = set()
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def start(self) -> None:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.address = f"127.0.0.1:{port}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def blob(self, data: bytes) -> str:
        self.blobs[digest(data)] = data
        return digest(data)

    def image(
        self,
        *layers: bytes,
        tag: str = "latest",
        media_type: str = MANIFEST,
        layer_type: str = DOCKER_LAYER,
        pack: Callable[[bytes], bytes] = zipped,
        **more: Any,
    ) -> tuple[bytes, dict[str, Any]]:
        """Keep an image of layer tars; give its config and its manifest's descriptor."""
        document = config(layers, **more)
        packed = [pack(layer) for layer in layers]
        for data in (document, *packed):
            self.blob(data)
        kind = (
            "docker.container.image.v1+json"
            if media_type == MANIFEST
            else "oci.image.config.v1+json"
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(document, f"application/vnd.{kind}"),
            "layers": [descriptor(data, layer_type) for data in packed],
        }
        return document, self.manifest(manifest, media_type, tag)

    def manifest(self, content: Any, media_type: str, tag: str) -> dict[str, Any]:
        data = json.dumps(content).encode()
        self.manifests[tag] = self.manifests[digest(data)] = (data, media_type)
        self.tags.append(tag)
        return descriptor(data, media_type)

    def expire(self) -> None:
        """Make every token that was given worthless."""
        self._valid.clear()

    def fail(self, part: str, answer: Fault, times: int = 1 << 30) -> None:
        """Answer the next `times` GETs whose path contains `part` otherwise."""
        left = times

        async def fault(request: web.Request) -> web.StreamResponse | None:
            nonlocal left
            if part not in request.path or left == 0:
                return None
            left -= 1
            return await answer(request)

        self.faults.append(fault)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.log.append(f"{request.method} {request.path}")
        if request.path == "/token":
            return self._token(request)
        for fault in self.faults:
            if (answer := await fault(request)) is not None:
                return answer
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._tokens and given not in self._valid:
            realm = f'Bearer realm="http://{self.address}/token",service="fake"'
            return web.json_response(
                {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]},
                status=401,
                headers={"WWW-Authenticate": realm},
            )
        return await self._serve(request)

    def _token(self, request: web.Request) -> web.Response:
        if self._login and request.headers.get("Authorization") != _basic(*self._login):
            return web.json_response({"details": "incorrect username or password"}, status=401)
        self.scopes.append(request.query.get("scope", ""))
        token = f"token-{len(self.scopes)}-{time.monotonic_ns()}"
        self._valid.add(token)
        return web.json_response({"token": token, "expires_in": 300})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if request.path == "/v2/":
            return web.json_response({})
        if "/manifests/" in request.path:
            return await self._manifest(request, name)
        if "/uploads/" in request.path:
            return await self._upload(request, name)
        if request.path.endswith("/tags/list"):
            return web.json_response({"name": "any", "tags": self.tags})
        if (data := self.blobs.get(name)) is None:
            return unknown("BLOB_UNKNOWN", "blob unknown to registry")
        start = int(request.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        if start and self.ranges:
            return web.Response(body=data[start:], status=206)
        return web.Response(body=data)

    async def _manifest(self, request: web.Request, name: str) -> web.Response:
        if request.method == "PUT":
            data = await request.read()
            self.manifests[name] = self.manifests[digest(data)] = (data, request.content_type)
            return web.Response(status=201)
        if name not in self.manifests:
            return unknown("MANIFEST_UNKNOWN", "manifest unknown")
        data, media_type = self.manifests[name]
        headers = {"Docker-Content-Digest": digest(data)}
        return web.Response(body=data, content_type=media_type, headers=headers)

    async def _upload(self, request: web.Request, name: str) -> web.Response:
        if request.method == "POST":
            wanted = request.query.get("mount", "")
            if wanted in self.blobs:
                return web.Response(status=201)
            name = str(len(self.uploads))
            self.uploads[name] = bytearray()
            return web.Response(status=202, headers={"Location": f"{request.path}{name}"})
        kept = self.uploads[name]
        place = {"Location": request.path, "Range": f"0-{len(kept) - 1}"}
        if request.method == "GET":
            return web.Response(status=204, headers=place)
        if request.method == "DELETE":
            return web.Response(status=204)
        kept += await request.read()
        if request.method == "PATCH":
            return web.Response(status=202, headers=place)
        assert digest(bytes(kept)) == request.query["digest"]
        self.blob(bytes(kept))
        return web.Response(status=201)


def unknown(code: str, message: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=404)


def _basic(name: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def status(code: int, **headers: str) -> Fault:
    async def answer(_request: web.Request) -> web.StreamResponse:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return web.Response(status=code, headers=named)

    return answer


def instead(data: bytes) -> Fault:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=data)

    return answer


async def hang(_request: web.Request) -> web.StreamResponse:
    """Never answer; the server's end cancels it."""
    await asyncio.Event().wait()
    raise AssertionError


def cut(data: bytes, after: int) -> Fault:
    """Promise all of a blob and close the connection after some of it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        start = int(request.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(data) - start
        await response.prepare(request)
        await response.write(data[start : start + after])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def layer(**files: bytes) -> bytes:
    return tar(files)
