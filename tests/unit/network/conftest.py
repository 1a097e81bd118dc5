"""A network namespace that plays the host, another its neighbour, and containers in their own.

A test that needs them runs its body in a child process inside the host's namespace, so this
machine's own interfaces and rules are never touched.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lading.kernel import process
from lading.kernel.namespaces import CloneFlag, clone3
from lading.network import links, netlink
from lading.network.manager import NetworkManager
from lading.network.messages import LINK
from lading.network.model import Endpoint, EndpointRequest, NetworkOptions, PortRequest
from lading.network.netlink import Netlink

WAIT = 10.0
OUTSIDE = "198.51.100.2"
HOST = "198.51.100.1"


@dataclass
class Container:
    """A process with a network namespace of its own."""

    id: str
    pid: int
    pidfd: int
    endpoints: list[Endpoint] = field(default_factory=list)

    @property
    def ip(self) -> str:
        return self.endpoints[0].ipv4_address

    @contextmanager
    def inside(self) -> Iterator[None]:
        with netlink.namespace_of(self.pid) as namespace, netlink.inside(namespace):
            yield

    def end(self) -> None:
        process.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        process.wait_pidfd(self.pidfd)
        os.close(self.pidfd)


def sleeping_process() -> tuple[int, int]:
    pid, pidfd = clone3(CloneFlag.NEWNET)
    if pid == 0:
        process.close_range(3)  # held ports, above all
        signal.pause()
        os._exit(0)
    return pid, pidfd


class Lab:
    """The host's side: a manager, containers, and sockets to try the traffic with."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self.stack = stack
        self.manager = NetworkManager(root)
        self.containers: list[Container] = []
        self.numbers = itertools.count()
        self.neighbour = Container("neighbour", *sleeping_process())
        self._wire()

    def _wire(self) -> None:
        """Connect the host to its neighbour, which has a route to the container networks."""
        with netlink.namespace_of(self.neighbour.pid) as namespace, Netlink() as route:
            up = LINK.encode(index=1, flags=1, change=1)
            route.do(netlink.request(netlink.NEWLINK, "up", "lo", 0, up))
            bridge = links.ensure_bridge(
                route, "uplink0", [f"{HOST}/24", "2001:db8::1/64", "fe80::1/64"], 1500
            )
            links.make_veth(route, "uplink1", bridge, "eth0", namespace, links.random_mac(), 1500)
            links.configure(
                namespace,
                "eth0",
                links.Addresses(f"{OUTSIDE}/24", HOST, "2001:db8::2/64", "2001:db8::1"),
            )

    def run(
        self, name: str = "", network: str = "bridge", ports: tuple[PortRequest, ...] = ()
    ) -> Container:
        pid, pidfd = sleeping_process()
        container = Container(name or f"container{next(self.numbers)}", pid, pidfd)
        self.containers.append(container)
        self.connect(container, network, ports)
        return container

    def connect(
        self, container: Container, network: str, ports: tuple[PortRequest, ...] = ()
    ) -> Endpoint:
        request = EndpointRequest(
            container_id=container.id, container_name=container.id, pid=container.pid, ports=ports
        )
        endpoint = self.manager.connect(network, request)
        container.endpoints.append(endpoint)
        return endpoint

    def restart(self, options: NetworkOptions | None = None) -> list[str]:
        """Start another manager on the same files, as after a kill -9 of the first."""
        self.manager = NetworkManager(self.root, options)
        return self.manager.start({c.id: c.pid for c in self.containers})

    def server(
        self, container: Container, port: int, kind: int = socket.SOCK_STREAM
    ) -> socket.socket:
        with container.inside():
            return listening(port, kind, self.stack)


def listening(
    port: int, kind: int = socket.SOCK_STREAM, stack: ExitStack | None = None
) -> socket.socket:
    """Listen on all addresses, IPv4 and IPv6."""
    server = socket.socket(socket.AF_INET6, kind)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.settimeout(WAIT)
    server.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        server.listen()
    if stack is not None:
        stack.enter_context(server)
    return server


def reaches(server: socket.socket, address: str, port: int, timeout: float = WAIT) -> str:
    """Connect from the current namespace; give the client's address as the server sees it."""
    with socket.create_connection((address, port), timeout):
        connection, peer = server.accept()
        connection.close()
    return str(peer[0]).removeprefix("::ffff:")


def refused(address: str, port: int) -> bool:
    """Tell that a connection does not come about; a packet dropped counts after a moment."""
    try:
        socket.create_connection((address, port), 0.3).close()
    except OSError:
        return True
    return False


RunLab = Callable[[Callable[[Lab], None]], None]


@pytest.fixture
def lab(tmp_path: Path) -> RunLab:
    """Give a function that runs a test's body with a `Lab` whose manager has been started."""

    def run(body: Callable[[Lab], None]) -> None:
        receive, send = os.pipe()
        pid, pidfd = clone3(CloneFlag.NEWNET)
        if pid == 0:
            status = 1
            try:
                with ExitStack() as stack:
                    made = Lab(tmp_path, stack)
                    made.manager.start({})
                    body(made)
                status = 0
            except BaseException:  # noqa: BLE001 (the parent reports whatever it was)
                os.write(send, traceback.format_exc().encode()[-60000:])
            finally:
                for container in [*made.containers, made.neighbour]:
                    with suppress(ProcessLookupError):
                        os.kill(container.pid, signal.SIGKILL)
                os._exit(status)
        os.close(send)
        with open(receive, encoding="utf-8") as report:
            text = report.read()
        ended = process.wait_pidfd(pidfd)
        os.close(pidfd)
        assert ended is not None
        assert ended.status == 0, text or f"the child ended with {ended}"

    return run
