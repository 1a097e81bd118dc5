"""A network namespace for an engine, with a way out through the host.

    host: lad-<name> 10.213.<n>.1/30 ── veth ── eth0 10.213.<n>.2/30 :namespace lading-<name>

Two engines in one network namespace delete each other's bridges, and dockerd sets the FORWARD
policy to DROP where it runs: each gets its own. What the host is changed for it, an nftables
table of its own and forwarding, goes away with the last namespace.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.paths import RUN
from lab.shell import LabError, require, run

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_SAVED = RUN / "ip_forward"
_NAMED = Path("/run/netns")
_TABLE = "lading-lab"


class Uplink:
    """The namespace `lading-<name>`; `name` has at most ten characters."""

    def __init__(self, name: str) -> None:
        if len(name) > 10:
            raise LabError(f"the network namespace's name {name} is longer than ten characters")
        self.name = f"lading-{name}"
        self.interface = f"lad-{name}"
        self.path = _NAMED / self.name

    def up(self) -> None:
        """Make the namespace with its uplink, unless it is there. Raises LabError."""
        require("ip", "nft", "nsenter")
        with _locked():
            if self.path.exists():
                return
            try:
                self._make(_free_number())
            except BaseException:
                self._remove()
                raise

    def down(self) -> None:
        """Remove the namespace and what was made for it; nothing happens when it is gone."""
        with _locked():
            self._remove()

    def enter(self) -> list[str]:
        """The words before a command that make it run in this network namespace, and no other."""
        return ["nsenter", f"--net={self.path}", "--"]

    def _make(self, number: int) -> None:
        outer, inner = f"10.213.{number}.1", f"10.213.{number}.2"
        inside = self.enter()
        run("ip", "netns", "add", self.name)
        run(*f"ip link add {self.interface} type veth peer name eth0 netns {self.name}".split())
        run(*f"ip address add {outer}/30 dev {self.interface}".split())
        run(*f"ip link set {self.interface} up".split())
        run(*inside, *["ip", "link", "set", "lo", "up"])
        run(*inside, *f"ip address add {inner}/30 dev eth0".split())
        run(*inside, *["ip", "link", "set", "eth0", "up"])
        run(*inside, *f"ip route add default via {outer}".split())
        run("nft", "-f", "-", stdin=_RULES)
        if not _SAVED.exists():
            _SAVED.write_text(_FORWARD.read_text())
        _FORWARD.write_text("1\n")

    def _remove(self) -> None:
        if self.path.exists():
            run("ip", "netns", "delete", self.name)
        with suppress(LabError):
            run("ip", "link", "delete", self.interface)
        if not _others():
            with suppress(LabError):
                run("nft", "delete", "table", "ip", _TABLE)
            if _SAVED.exists():
                _FORWARD.write_text(_SAVED.read_text())
                _SAVED.unlink()


_RULES = f"""
table ip {_TABLE}
delete table ip {_TABLE}
table ip {_TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr 10.213.0.0/16 oifname != "lad-*" masquerade
  }}
}}
"""


def forwarding() -> str:
    """What the host's own setting of forwarding is, also while the lab has another one set.

    An interrupted run leaves its setting behind together with the host's; the next one puts
    that back, and so it is no change of the host.
    """
    return (_SAVED if _SAVED.exists() else _FORWARD).read_text().strip()


def _others() -> list[str]:
    return [path.name for path in Path("/sys/class/net").glob("lad-*")]


def _free_number() -> int:
    """A third byte of 10.213.n.0/30 that no interface of the lab's has."""
    text = run("ip", "-o", "-4", "address", "show")
    return next(n for n in range(1, 255) if f" 10.213.{n}.1/" not in text)


@contextmanager
def _locked() -> Iterator[None]:
    RUN.mkdir(parents=True, exist_ok=True)
    with open(RUN / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
