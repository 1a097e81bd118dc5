"""The API's server: from a request to its operation, and from its outcome to a response."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aiohttp.web_exceptions import HTTPRequestEntityTooLarge
from aiohttp.web_response import StreamResponse

from lading.api.call import BODY_LIMIT, Call
from lading.api.connection import ConnectionServer
from lading.api.operations import OPERATIONS, OWN_OPERATIONS, Group, Operation
from lading.api.responses import AlreadySent, error_response
from lading.api.router import Router
from lading.api.versions import negotiate, split_version
from lading.errors import LadingError, NotImplementedYet
from lading.files import lack

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from lading.engine.engine import Engine

log = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[StreamResponse]]


def load_handlers(group: Group) -> Mapping[str, Handler]:
    """Import a module of routes and return its handlers by the names of their operations."""
    module = importlib.import_module(f"lading.api.routes.{group}")
    handlers: Mapping[str, Handler] = module.HANDLERS
    return handlers


class ApiServer:
    """Serves Docker's Engine API for one engine, on as many sockets as it is given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._router = Router(OPERATIONS + OWN_OPERATIONS)
        self._handlers: dict[Group, Mapping[str, Handler]] = {}
        self.connections = ConnectionServer(self._respond)
        """The factory of protocols for `loop.create_unix_server` and `loop.create_server`."""

    async def close(self, grace: float) -> None:
        """Let requests end for `grace` seconds, then close every connection."""
        self.connections.pre_shutdown()
        await self.connections.shutdown(grace)

    async def _respond(self, request: BaseRequest) -> StreamResponse:
        raw_path, _, query = request.raw_path.partition("?")
        path = unquote(raw_path) if "%" in raw_path else raw_path
        asked, path = split_version(path)
        match = self._router.find(request.method, path)
        if match is None:
            return error_response(404, "page not found")
        try:
            version = negotiate(asked)
            handler = self._handler(match.operation)
            if request.headers.get("Expect", "").lower() == "100-continue":
                _continue(request)
            return await handler(Call(self._engine, request, version, match.name, query))
        except HTTPRequestEntityTooLarge:
            text = f"the request's body is larger than {BODY_LIMIT} bytes"
            return self._failure(request, 413, text)
        except LadingError as error:
            return self._failure(request, error.status, error.message)
        except Exception as error:
            if (why := lack(error)) is not None:
                return self._failure(request, 500, f"{match.operation.name} failed: {why}")
            if request.transport is None or request.transport.is_closing():
                log.debug("%s %s: the client left: %s", request.method, path, error)
                return AlreadySent()
            log.exception("%s %s failed", request.method, path)
            text = f"{match.operation.name} failed inside the daemon ({type(error).__name__}); "
            return self._failure(request, 500, text + "its log says more")

    def _handler(self, operation: Operation) -> Handler:
        handlers = self._handlers.get(operation.group)
        if handlers is None:
            handlers = self._handlers[operation.group] = load_handlers(operation.group)
        handler = handlers.get(operation.name)
        if handler is None:
            raise NotImplementedYet(f"{operation.name} is not implemented by Lading")
        return handler

    def _failure(self, request: BaseRequest, status: int, message: str) -> StreamResponse:
        """Make the response of a failure; one that comes amid a response ends the connection."""
        if status == 500:
            log.error("%s %s: %s", request.method, request.raw_path, message)
        else:
            log.debug("%s %s: %d %s", request.method, request.raw_path, status, message)
        if request.writer.output_size:
            return AlreadySent()
        response = error_response(status, message)
        if "Upgrade" in request.headers:
            response.force_close()
        return response


def _continue(request: BaseRequest) -> None:
    """Tell a client that waits for it to send its body."""
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
