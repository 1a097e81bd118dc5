"""The packet filter's rules for container networks: one nftables table of each daemon's own.

The table is built from what is known and put in place of the earlier one in one transaction; a
published port is then an element of a map, so publishing does not touch the rules. Everything
works in the kernel, so published ports go on when the daemon is killed, also for 127.0.0.1 on the
host: the bridge accepts loopback addresses (route_localnet), their source is masqueraded, and
containers are kept from reaching the host's loopback that way.

What other tables drop stays dropped: nftables has no way to overrule another table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Any, NamedTuple

from lading.network.nftables import Command, Nftables

_FAMILY = "inet"
_RAW, _DESTINATION_NAT, _FILTER, _SOURCE_NAT = -300, -100, 0, 100

Expression = dict[str, Any]


class Zone(NamedTuple):
    """One bridge network as the filter sees it; `subnets` as CIDR text."""

    bridge: str
    subnets: tuple[str, ...]
    internal: bool = False
    masquerade: bool = True
    icc: bool = True


class Forward(NamedTuple):
    """One published port: where packets for `host_ip`:`host_port` go; `host_ip` "" is anywhere."""

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int


class Firewall:
    """The table *name* of one daemon."""

    def __init__(self, name: str, filter_: Nftables | None = None) -> None:
        self.name = name
        self._filter = filter_ or Nftables()

    def rebuild(self, zones: Sequence[Zone], forwards: Iterable[Forward]) -> None:
        """Put the rules for *zones* and the ports *forwards* in place of what there was."""
        commands: list[Command] = [self._table("add"), self._table("delete"), self._table("add")]
        commands += self._maps()
        commands.append(self._bridges(zones))
        commands += self._chains()
        commands += self._rules(zones)
        commands += [c for forward in forwards for c in self._elements("add", forward)]
        self._filter.run(commands)

    def publish(self, forwards: Iterable[Forward]) -> None:
        """Add published ports."""
        commands = [c for forward in forwards for c in self._elements("add", forward)]
        if commands:
            self._filter.run(commands)

    def withdraw(self, forwards: Iterable[Forward]) -> None:
        """Remove published ports."""
        commands = [c for forward in forwards for c in self._elements("delete", forward)]
        if commands:
            self._filter.run(commands)

    def remove(self) -> None:
        """Remove the table."""
        self._filter.run([self._table("add"), self._table("delete")])

    def dropping(self) -> list[str]:
        """Name the chains of others that drop forwarded packets by policy ("ip filter FORWARD")."""
        chains = [
            entry["chain"]
            for entry in self._filter.run([{"list": {"chains": None}}])
            if "chain" in entry
        ]
        return [
            f"{chain['family']} {chain['table']} {chain['name']}"
            for chain in chains
            if chain.get("hook") == "forward"
            and chain.get("policy") == "drop"
            and chain["table"] != self.name
        ]

    def close(self) -> None:
        """Free the connection to the filter."""
        self._filter.close()

    def _table(self, verb: str) -> Command:
        return {verb: {"table": {"family": _FAMILY, "name": self.name}}}

    def _add(self, kind: str, **fields: Any) -> Command:
        return {"add": {kind: {"family": _FAMILY, "table": self.name, **fields}}}

    def _maps(self) -> list[Command]:
        """Make the maps of published ports: to an address and to a port, by family and host IP."""
        commands = []
        for family, kind in (("4", "ipv4_addr"), ("6", "ipv6_addr")):
            anywhere = ["inet_proto", "inet_service"]
            for where, key in (("any", anywhere), ("at", [kind, *anywhere])):
                name = f"{where}{family}"
                commands.append(self._add("map", name=f"{name}_address", type=key, map=kind))
                commands.append(self._add("map", name=f"{name}_port", type=key, map="inet_service"))
        return commands

    def _bridges(self, zones: Sequence[Zone]) -> Command:
        elements = [zone.bridge for zone in zones]
        content = {"elem": elements} if elements else {}
        return self._add("set", name="bridges", type="ifname", **content)

    def _chains(self) -> list[Command]:
        """Make the chains; a hook's priority is where it stands among others' chains."""
        hooked = (
            ("guard", "filter", "prerouting", _RAW),
            ("incoming", "nat", "prerouting", _DESTINATION_NAT),
            ("local", "nat", "output", _DESTINATION_NAT),
            ("forward", "filter", "forward", _FILTER),
            ("outgoing", "nat", "postrouting", _SOURCE_NAT),
        )
        chains = [self._add("chain", name="published")]
        chains += [
            self._add("chain", name=name, type=kind, hook=hook, prio=priority, policy="accept")
            for name, kind, hook, priority in hooked
        ]
        return chains

    def _rules(self, zones: Sequence[Zone]) -> list[Command]:
        rules = [
            ("guard", [_iif("@bridges"), _loopback("daddr"), _DROP]),
            ("incoming", [_TO_THIS_HOST, _jump("published")]),
            ("local", [_TO_THIS_HOST, _jump("published")]),
            *(("published", [rewrite]) for rewrite in _rewrites()),
            ("forward", [_oif("@bridges"), _ESTABLISHED, _ACCEPT]),
            ("forward", [_iif("@bridges"), _ESTABLISHED, _ACCEPT]),
        ]
        for zone in zones:
            rules += _zone_rules(zone)
        rules += [
            ("forward", [_oif("@bridges"), _REWRITTEN, _ACCEPT]),
            ("forward", [_oif("@bridges"), _DROP]),
            ("outgoing", [_oif("@bridges"), _loopback("saddr"), _MASQUERADE]),
        ]
        return [self._add("rule", chain=chain, expr=expression) for chain, expression in rules]

    def _elements(self, verb: str, forward: Forward) -> list[Command]:
        family = "6" if ":" in forward.address else "4"
        key: list[Any] = [forward.protocol, forward.host_port]
        name = f"any{family}"
        if forward.host_ip:
            key.insert(0, forward.host_ip)
            name = f"at{family}"
        values = (("address", forward.address), ("port", forward.port))
        return [
            {
                verb: {
                    "element": {
                        "family": _FAMILY,
                        "table": self.name,
                        "name": f"{name}_{kind}",
                        "elem": [[{"concat": key}, value]],
                    }
                }
            }
            for kind, value in values
        ]


def _match(left: Expression, right: Any, op: str = "==") -> Expression:
    return {"match": {"op": op, "left": left, "right": right}}


def _meta(key: str) -> Expression:
    return {"meta": {"key": key}}


def _iif(name: str, op: str = "==") -> Expression:
    return _match(_meta("iifname"), name, op)


def _oif(name: str, op: str = "==") -> Expression:
    return _match(_meta("oifname"), name, op)


def _payload(protocol: str, field: str) -> Expression:
    return {"payload": {"protocol": protocol, "field": field}}


def _loopback(field: str) -> Expression:
    return _match(_payload("ip", field), {"prefix": {"addr": "127.0.0.0", "len": 8}})


def _jump(chain: str) -> Expression:
    return {"jump": {"target": chain}}


_ACCEPT: Expression = {"accept": None}
_DROP: Expression = {"drop": None}
_MASQUERADE: Expression = {"masquerade": None}
_ESTABLISHED = _match({"ct": {"key": "state"}}, ["established", "related"], "in")
_REWRITTEN = _match({"ct": {"key": "status"}}, "dnat", "in")
_TO_THIS_HOST = _match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")


def _rewrites() -> list[Expression]:
    """Give the destination rewriting by map; the maps for one host address come first."""
    port = [_meta("l4proto"), _payload("th", "dport")]
    found = []
    for where in ("at", "any"):
        for family, protocol in (("4", "ip"), ("6", "ip6")):
            parts = [_payload(protocol, "daddr"), *port] if where == "at" else port
            key = {"concat": parts}
            found.append(
                {
                    "dnat": {
                        "family": protocol,
                        "addr": {"map": {"key": key, "data": f"@{where}{family}_address"}},
                        "port": {"map": {"key": key, "data": f"@{where}{family}_port"}},
                    }
                }
            )
    return found


def _zone_rules(zone: Zone) -> list[tuple[str, list[Expression]]]:
    bridge = zone.bridge
    rules: list[tuple[str, list[Expression]]] = []
    if zone.internal:
        rules.append(("forward", [_iif(bridge), _oif(bridge, "!="), _DROP]))
        rules.append(("forward", [_iif(bridge, "!="), _oif(bridge), _DROP]))
    rules.append(("forward", [_iif(bridge), _oif(bridge), _ACCEPT if zone.icc else _DROP]))
    for subnet in zone.subnets:
        network = ip_network(subnet)
        protocol = "ip" if network.version == 4 else "ip6"
        prefix = {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}
        inside = _match(_payload(protocol, "saddr"), prefix)
        if zone.masquerade and not zone.internal:
            rules.append(("outgoing", [inside, _oif(bridge, "!="), _MASQUERADE]))
        rules.append(("outgoing", [inside, _oif(bridge), _REWRITTEN, _MASQUERADE]))
    return rules
