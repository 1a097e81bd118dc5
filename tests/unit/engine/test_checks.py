"""What a request may ask for: limits, names, ports, signals, modes, in Docker's words."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.engine import detachkeys, names
from lading.engine.checks.config import check_config
from lading.engine.checks.host import check_host_config, normal_capability
from lading.engine.checks.limits import check_limits, parse_set
from lading.engine.model import (
    ContainerConfig,
    Healthcheck,
    HostConfig,
    PortBinding,
    RestartPolicy,
)
from lading.engine.ports import Port, parse_host_ports, parse_port
from lading.engine.registry import Entry, Registry
from lading.engine.sysinfo import SysInfo
from lading.errors import Conflict, InvalidParameter, NotFound
from lading.kernel.signals import parse_signal

from .fakes import record

HOST = SysInfo(
    cgroup_version=1,
    memory_limit=True,
    swap_limit=True,
    memory_reservation=True,
    memory_swappiness=True,
    oom_kill_disable=True,
    pids_limit=True,
    cpu_shares=True,
    cpu_cfs=True,
    cpu_realtime=True,
    cpuset=True,
    cpuset_cpus="0-1",
    cpuset_mems="0",
    blkio_weight=True,
    blkio_weight_device=True,
    blkio_throttle=True,
    cpus=2,
)
MB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"cpu_shares": -5}, "invalid CPU shares (-5): value must be a positive integer"),
        (
            {"memory": 10 * MB, "memory_swap": 7 * MB},
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            {"memory_swap": 70 * MB},
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (
            {"memory_swappiness": 101},
            "Invalid value: 101, valid memory swappiness range is 0-100",
        ),
        ({"memory_reservation": 1024}, "Minimum memory reservation allowed is 6MB"),
        (
            {"memory": 10 * MB, "memory_reservation": 20 * MB},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            {"nano_cpus": 10**12},
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            {"nano_cpus": 10**9, "cpu_quota": 5000},
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            {"nano_cpus": 10**9, "cpu_period": 5000},
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ),
        (
            {"cpu_period": 10},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        ({"cpu_quota": 10}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (
            {"cpuset_cpus": "9"},
            "Requested CPUs are not available - requested 9, available: 0-1",
        ),
        ({"cpuset_cpus": "a"}, "Invalid value a for cpuset cpus: invalid format: a"),
        (
            {"cpuset_mems": "9"},
            "Requested memory nodes are not available - requested 9, available: 0",
        ),
        ({"blkio_weight": 5}, "Range of blkio weight is from 10 to 1000"),
    ],
)
def test_limits_out_of_range(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        check_limits(HostConfig(**limits), HOST)
    assert raised.value.message == words


def test_limits_that_fit_pass_without_warning() -> None:
    host = HostConfig(memory=64 * MB, memory_swap=-1, nano_cpus=2 * 10**9, cpuset_cpus="0,1")
    assert check_limits(host, HOST) == []
    assert (host.memory, host.memory_swap) == (64 * MB, -1)


@pytest.mark.parametrize(
    ("lacks", "limits", "warning", "cleared"),
    [
        ("memory_limit", {"memory": 64 * MB}, "memory limit capabilities", "memory"),
        ("pids_limit", {"pids_limit": 5}, "PIDs limit capabilities", "pids_limit"),
        ("cpu_shares", {"cpu_shares": 5}, "CPU shares", "cpu_shares"),
        ("cpuset", {"cpuset_cpus": "0"}, "cpuset", "cpuset_cpus"),
        ("blkio_weight", {"blkio_weight": 500}, "Block I/O weight", "blkio_weight"),
    ],
)
def test_limits_that_the_host_lacks_are_discarded(
    lacks: str, limits: dict[str, Any], warning: str, cleared: str
) -> None:
    host = HostConfig(**limits)
    without: dict[str, Any] = {lacks: False}
    warnings = check_limits(host, dataclasses.replace(HOST, **without))
    assert len(warnings) == 1
    assert f"does not support {warning} or the cgroup is not mounted" in warnings[0]
    assert not getattr(host, cleared)


def test_memory_without_swap_accounting() -> None:
    host = HostConfig(memory=64 * MB, memory_swap=128 * MB)
    warnings = check_limits(host, dataclasses.replace(HOST, swap_limit=False))
    assert warnings == [
        (
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
            "Memory limited without swap."
        )
    ]
    assert host.memory_swap == -1


@given(st.sets(st.integers(0, 200)))
def test_sets_of_cpus_read_what_they_list(numbers: set[int]) -> None:
    assert parse_set(",".join(map(str, numbers))) == numbers


@pytest.mark.parametrize("text", ["3-1", "a", "1-", "-1", "1,,2", "0-99999999"])
def test_sets_of_cpus_refuse(text: str) -> None:
    assert parse_set(text) is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"working_dir": "rel"}, "the working directory 'rel' is invalid"),
        ({"stop_signal": "FOO"}, "invalid signal: FOO"),
        ({"env": [""]}, "invalid environment variable: $"),
        ({"env": ["=a"]}, "invalid environment variable: =a"),
        (
            {"healthcheck": Healthcheck(interval=10)},
            "Interval in Healthcheck cannot be less than 1ms",
        ),
        (
            {"healthcheck": Healthcheck(retries=-1)},
            "Retries in Healthcheck cannot be negative",
        ),
    ],
)
def test_configs_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        check_config(ContainerConfig(**config))


JOINED = "container:abc"


@pytest.mark.parametrize(
    ("host", "config", "words"),
    [
        (
            {"auto_remove": True, "restart_policy": RestartPolicy(name="always")},
            {},
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"restart_policy": RestartPolicy(name="foo")}, {}, "unknown policy 'foo'; use one of"),
        (
            {"restart_policy": RestartPolicy(name="always", maximum_retry_count=2)},
            {},
            "maximum retry count can only be used with 'on-failure'$",
        ),
        (
            {"restart_policy": RestartPolicy(name="on-failure", maximum_retry_count=-2)},
            {},
            "maximum retry count cannot be negative",
        ),
        ({"cap_add": ["FOO"]}, {}, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        ({"extra_hosts": ["foo"]}, {}, 'bad format for add-host: "foo"'),
        ({"extra_hosts": ["foo:bar"]}, {}, 'invalid IP address in add-host: "bar"'),
        ({"oom_score_adj": 2000}, {}, r"Invalid value 2000, range for oom score adj is \[-1000"),
        ({"shm_size": -1}, {}, "SHM size can not be less than 0"),
        ({"runtime": "foo"}, {}, "unknown or invalid runtime name: foo"),
        ({"isolation": "hyperv"}, {}, r"invalid isolation \(hyperv\): linux only supports"),
        ({"pid_mode": "foo"}, {}, "invalid PID mode: foo"),
        ({"ipc_mode": "foo"}, {}, "invalid IPC mode: foo"),
        ({"uts_mode": "foo"}, {}, "invalid UTS mode: foo"),
        ({"cgroupns_mode": "foo"}, {}, "invalid cgroup namespace mode: foo"),
        ({"annotations": {"": "x"}}, {}, "the empty string is not permitted as an annotation key"),
        ({"network_mode": "container:"}, {}, "invalid network mode: invalid container format"),
        ({"network_mode": JOINED}, {"hostname": "x"}, "hostname and the network mode"),
        ({"uts_mode": "host"}, {"hostname": "x"}, "hostname and the UTS mode"),
        ({"network_mode": JOINED, "dns": ["1.1.1.1"]}, {}, "dns and the network mode"),
        ({"network_mode": JOINED, "extra_hosts": ["a:1.1.1.1"]}, {}, "custom host-to-IP mapping"),
        ({"network_mode": JOINED, "publish_all_ports": True}, {}, "port publishing and the"),
        ({"network_mode": JOINED}, {"exposed_ports": {"80/tcp": {}}}, "port exposing and the"),
        ({"network_mode": "host", "links": ["a:b"]}, {}, "host type networking can't be used"),
        (
            {"port_bindings": {"99999/tcp": [PortBinding()]}},
            {},
            'invalid port specification: "99999"',
        ),
        (
            {"port_bindings": {"80/tcp": [PortBinding(host_port="abc")]}},
            {},
            'invalid port specification: "abc"',
        ),
    ],
)
def test_host_configs_refused(host: dict[str, Any], config: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        check_host_config(HostConfig(**host), ContainerConfig(**config))


def test_ports_are_discarded_in_the_hosts_network() -> None:
    host = HostConfig(network_mode="host", port_bindings={"80/tcp": [PortBinding()]})
    assert check_host_config(host, ContainerConfig()) == [
        "Published ports are discarded when using host network mode"
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [("net_admin", "CAP_NET_ADMIN"), ("CAP_KILL", "CAP_KILL"), ("all", "ALL"), ("x", None)],
)
def test_capability_names(text: str, name: str | None) -> None:
    assert normal_capability(text) == name


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("sigkill", 9), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("64", 64)],
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "FOO", "SIG", "-1"])
def test_signals_that_are_none(text: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^invalid signal: {text}$"):
        parse_signal(text)


def test_ports() -> None:
    assert parse_port("80") == Port(80, "tcp")
    assert str(parse_port("53/UDP")) == "53/udp"
    assert list(parse_host_ports("8000-8002")) == [8000, 8001, 8002]
    assert not parse_host_ports("")
    assert not parse_host_ports("0")
    for bad in ("x", "0/tcp", "80/foo", "70000", ""):
        with pytest.raises(InvalidParameter):
            parse_port(bad)
    for bad in ("x", "9-8", "-5", "70000"):
        with pytest.raises(InvalidParameter):
            parse_host_ports(bad)


@given(st.text(max_size=20))
def test_ports_read_or_refuse_anything(text: str) -> None:
    try:
        port = parse_port(text)
    except InvalidParameter:
        return
    assert 0 < port.number < 65536


def test_detach_keys() -> None:
    assert detachkeys.parse("") == b"\x10\x11"
    assert detachkeys.parse("ctrl-a,x,ctrl-]") == b"\x01x\x1d"
    for bad in ("foo", "ctrl-", "ctrl-1", "a,", "ü"):
        with pytest.raises(InvalidParameter, match="Invalid detach keys"):
            detachkeys.parse(bad)


def test_names() -> None:
    assert names.check("/web-1.a_b") == "web-1.a_b"
    for bad in ("a", "", "a!b", "-ab", "/ok/x", "a b"):
        with pytest.raises(InvalidParameter, match=r"only \[a-zA-Z0-9\]"):
            names.check(bad)


def test_made_up_names_are_allowed_and_free() -> None:
    taken: set[str] = set()
    for _ in range(200):
        name = names.generate(taken)
        assert names.check(name) == name
        assert name not in taken
        taken.add(name)


def test_registry_finds_by_id_name_and_unique_prefix() -> None:
    registry = Registry()
    first, second = Entry(record("one", number=11)), Entry(record("two", number=12))
    for entry in (first, second):
        registry.reserve(entry.record.name, entry.id)
        registry.add(entry)
    assert registry.find(first.id) is first
    assert registry.find("/two") is second
    assert registry.find("12") is second
    with pytest.raises(InvalidParameter, match="multiple IDs found with provided prefix: 1"):
        registry.find("1")
    for missing in ("", "zz", "/nosuch"):
        with pytest.raises(NotFound, match=f"^No such container: {missing}$"):
            registry.find(missing)
    with pytest.raises(Conflict) as raised:
        registry.reserve("one", "other")
    assert raised.value.message == (
        f'Conflict. The container name "/one" is already in use by container "{first.id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    registry.discard(first)
    registry.reserve("one", "other")
