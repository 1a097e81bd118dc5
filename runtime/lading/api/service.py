"""The daemon's life: locks, engine, sockets, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import gc
import logging
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lading import __version__
from lading.api import logs, options
from lading.api.listeners import Address, Listeners
from lading.api.locks import DirectoryLock
from lading.api.notify import notify
from lading.api.options import DaemonOptions, UsageError
from lading.api.secure import tls_context
from lading.api.server import ApiServer
from lading.api.tls import TlsConnection
from lading.engine.engine import Engine
from lading.engine.events import EventType
from lading.engine.info import engine_id
from lading.engine.settings import Settings
from lading.errors import LadingError
from lading.files import write_atomically

if TYPE_CHECKING:
    from lading.shim.spawner import SpawnerHandle

log = logging.getLogger(__name__)

CONNECTION_GRACE = 2.0
"""Seconds that requests have to end when the daemon does, after its containers have stopped."""

IMPATIENCE = 3
"""Signals to end after which the daemon does not wait for anything."""

M_ARENA_MAX = -8
"""mallopt(3)'s number for it."""

_SIZE = re.compile(r"(\d+)([kmg]?)b?", re.IGNORECASE)


def settings_of(chosen: DaemonOptions) -> Settings:
    """Make the engine's settings of the daemon's options; raises UsageError for what cannot be."""
    defaults = Settings()
    return Settings(
        root=Path(os.path.abspath(chosen.data_root)),
        run=Path(os.path.abspath(chosen.exec_root)),
        live_restore=chosen.live_restore,
        log_driver=chosen.log_driver,
        log_opts=chosen.log_opts,
        cgroup_parent=chosen.cgroup_parent or defaults.cgroup_parent,
        shm_size=_size(chosen.default_shm_size) or defaults.shm_size,
        shutdown_timeout=chosen.shutdown_timeout,
        init=chosen.init,
        init_path=chosen.init_path,
        no_new_privileges=chosen.no_new_privileges,
        ipc_mode=chosen.default_ipc_mode or defaults.ipc_mode,
        cgroupns_mode=chosen.default_cgroupns_mode,
        ulimits={name: _limits(name, limit) for name, limit in chosen.default_ulimits.items()},
        dns=tuple(chosen.dns),
        dns_options=tuple(chosen.dns_opts),
        dns_search=tuple(chosen.dns_search),
        labels=tuple(chosen.labels),
        bridge=chosen.bridge,
        bip=chosen.bip,
        mtu=chosen.mtu,
        address_pools=tuple(_pool(pool) for pool in chosen.default_address_pools),
        publish_ip=chosen.ip,
        insecure_registries=tuple(chosen.insecure_registries),
        registry_mirrors=tuple(chosen.registry_mirrors),
        hosts=tuple(chosen.hosts),
        debug=chosen.debug,
    )


def _size(text: str) -> int:
    """Read `64m` as bytes; 0 when empty."""
    if not text:
        return 0
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"default-shm-size {text!r} is not a size such as 64m")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()]


def _limits(name: str, limit: dict[str, object]) -> tuple[int, int]:
    soft, hard = limit.get("Soft"), limit.get("Hard")
    if not isinstance(soft, int) or not isinstance(hard, int):
        raise UsageError(f"default ulimit {name} needs Soft and Hard, both whole numbers")
    return soft, hard


def _pool(pool: dict[str, object]) -> tuple[str, int]:
    base, size = pool.get("base"), pool.get("size")
    if not isinstance(base, str) or not isinstance(size, int):
        raise UsageError(f"default address pool {pool} needs base (a CIDR) and size (a number)")
    return base, size


def serve(chosen: DaemonOptions, spawner: SpawnerHandle) -> None:
    """Run the daemon until a signal ends it; raises LadingError when it cannot start."""
    logs.set_up(chosen.log_level)
    chosen.hosts = chosen.hosts or [f"unix://{chosen.exec_root}/lading.sock"]
    addresses = [Address.parse(host) for host in chosen.hosts]
    settings = settings_of(chosen)
    with contextlib.ExitStack() as held:
        for directory, option in ((settings.root, "--root"), (settings.run, "--run")):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            lock = DirectoryLock(directory / "lading.pid")
            lock.acquire(
                f"another daemon (process {{pid}}) already uses {directory}; "
                f"stop it, or give this one another {option}"
            )
            held.callback(lock.release)
        if chosen.pidfile:
            _write_pid(Path(chosen.pidfile))
            held.callback(Path(chosen.pidfile).unlink, missing_ok=True)
        asyncio.run(Daemon(chosen, settings, addresses, spawner).run())


def _write_pid(path: Path) -> None:
    try:
        write_atomically(path, b"%d\n" % os.getpid(), mode=0o644, durable=False)
    except OSError as error:
        raise LadingError(f"cannot write the pidfile {path}: {error.strerror}") from None


class Daemon:
    """An engine and the API that serves it."""

    def __init__(
        self,
        chosen: DaemonOptions,
        settings: Settings,
        addresses: list[Address],
        spawner: SpawnerHandle,
    ) -> None:
        self._options = chosen
        self._addresses = addresses
        self._engine = Engine(settings, spawner)
        self._listeners = Listeners()
        self._tls = tls_context(chosen)
        self._ending = asyncio.Event()
        self._signals = 0

    async def run(self) -> None:
        """Start, serve until a signal comes, and end."""
        self._catch_signals()
        try:
            self._listeners.open(self._addresses)
            await self._engine.start()
            await self._serve()
        finally:
            self._listeners.close()
        log.info("stopped")

    async def _serve(self) -> None:
        server = ApiServer(self._engine)
        loop = asyncio.get_running_loop()
        serving = [
            await loop.create_server(self._protocols(server, listener), sock=listener)
            for listener in self._listeners.sockets
        ]
        try:
            self._listeners.show()
            self._announce()
            settle_memory()
            await self._ending.wait()
            notify("STOPPING=1")
            log.info("stopping")
        finally:
            for listening in serving:
                listening.close()
            await self._engine.stop()
            await server.close(CONNECTION_GRACE)

    def _protocols(
        self, server: ApiServer, listener: socket.socket
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the protocol of a socket's connections: TLS is for TCP alone."""
        context = self._tls
        if context is None or listener.family == socket.AF_UNIX:
            return server.connections
        return lambda: TlsConnection(context, server.connections)

    def _announce(self) -> None:
        for address in self._addresses:
            log.info("API listens on %s", address)
            if address.scheme == "tcp" and not self._options.tlsverify:
                log.warning(
                    "whoever reaches %s is root on this machine: there is no authentication",
                    address,
                )
        log.info("Lading %s is ready, root %s", __version__, self._engine.settings.root)
        notify(f"READY=1\nMAINPID={os.getpid()}")

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _end(self) -> None:
        self._signals += 1
        self._ending.set()
        if self._signals >= IMPATIENCE:
            log.error("told to end %d times: leaving without cleaning up", self._signals)
            os._exit(1)

    def _reload(self) -> None:
        """Read the reloadable settings again; a faulty file changes nothing."""
        notify("RELOADING=1")
        try:
            self._apply(options.reload(self._options))
        except LadingError as error:
            log.error("not reloaded: %s", error.message)  # noqa: TRY400 - said in one sentence
        notify("READY=1")

    def _apply(self, chosen: DaemonOptions) -> None:
        settings = self._engine.settings = dataclasses.replace(
            self._engine.settings,
            debug=chosen.debug,
            labels=tuple(chosen.labels),
            live_restore=chosen.live_restore,
            shutdown_timeout=chosen.shutdown_timeout,
            insecure_registries=tuple(chosen.insecure_registries),
            registry_mirrors=tuple(chosen.registry_mirrors),
        )
        self._options = chosen
        logs.set_level("debug" if chosen.debug else chosen.log_level)
        attributes = {
            name: str(getattr(settings, name)).lower()
            for name in ("debug", "labels", "live_restore", "shutdown_timeout")
        }
        identity = engine_id(settings.root)
        self._engine.events.publish(EventType.DAEMON, "reload", identity, attributes)
        log.info("reloaded")


def settle_memory() -> None:
    """Keep what the daemon has by now out of the collector's way, and give back what is free."""
    gc.collect()
    gc.freeze()
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 2)
        libc.malloc_trim(0)
