"""What a spec must hold beyond its types."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lading.errors import InvalidParameter
from lading.oci import defaults
from lading.oci.checks import check, check_id, check_process
from lading.oci.spec import (
    Linux,
    LinuxDevice,
    LinuxIDMapping,
    LinuxIntelRdt,
    LinuxNamespace,
    LinuxTimeOffset,
    POSIXRlimit,
    Process,
    Root,
    Spec,
)


def linux(spec: Spec) -> Linux:
    assert spec.linux is not None
    return spec.linux


def process(spec: Spec) -> Process:
    assert spec.process is not None
    return spec.process


def without(kind: str) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        linux(spec).namespaces = [n for n in linux(spec).namespaces if n.type != kind]

    return change


def sysctl(key: str, *absent: str) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        linux(spec).sysctl = {key: "1"}
        for kind in absent:
            without(kind)(spec)

    return change


CHANGES: list[tuple[Callable[[Spec], object], str]] = [
    (lambda s: setattr(s, "oci_version", "2.0"), "ociVersion '2.0' is not supported"),
    (lambda s: setattr(s, "root", None), r"lacks root\.path"),
    (lambda s: setattr(s, "root", Root(path="")), r"lacks root\.path"),
    (lambda s: setattr(s, "process", None), "lacks process"),
    (lambda s: setattr(s, "linux", None), "lacks its linux section"),
    (lambda s: setattr(process(s), "args", []), "args must not be empty"),
    (lambda s: setattr(process(s), "cwd", "x"), "cwd must be an absolute path, not 'x'"),
    (lambda s: process(s).env.append("nothing"), "'nothing' is not of the form NAME=value"),
    (lambda s: process(s).args.append("a\0b"), "has a NUL byte"),
    (
        lambda s: process(s).rlimits.append(POSIXRlimit(type="RLIMIT_X", soft=1, hard=1)),
        "'RLIMIT_X' is not a resource limit",
    ),
    (
        lambda s: process(s).rlimits.append(POSIXRlimit(type="RLIMIT_NOFILE", soft=1, hard=1)),
        "RLIMIT_NOFILE is given twice",
    ),
    (lambda s: linux(s).namespaces.append(LinuxNamespace(type="pid")), "duplicated ns 'pid'"),
    (lambda s: linux(s).namespaces.append(LinuxNamespace(type="x")), "'x' does not exist"),
    (lambda s: linux(s).namespaces.append(LinuxNamespace(type="user")), "needs uidMappings"),
    (
        lambda s: setattr(
            linux(s), "uid_mappings", [LinuxIDMapping(container_id=0, host_id=1, size=1)]
        ),
        "user namespace isn't enabled",
    ),
    (without("mount"), "needs a mount namespace"),
    (without("uts"), "unable to set hostname without a private UTS namespace"),
    (
        lambda s: setattr(linux(s), "time_offsets", {"monotonic": LinuxTimeOffset(secs=1)}),
        "time namespace isn't enabled",
    ),
    (sysctl("kernel.panic"), 'sysctl "kernel.panic" is not in a separate kernel namespace'),
    (sysctl("net/ipv4/ip_forward", "network"), "not allowed in host network namespace"),
    (sysctl("kernel.shmmax", "ipc"), "not allowed in the hosts ipc namespace"),
    (sysctl("kernel.hostname"), "conflicts with the OCI"),
    (lambda s: setattr(linux(s), "cgroups_path", "a:b:c"), "systemd cgroup driver"),
    (
        lambda s: setattr(linux(s), "intel_rdt", LinuxIntelRdt(clos_id="x")),
        r"linux\.intelRdt is not supported",
    ),
    (
        lambda s: setattr(linux(s).seccomp, "listener_path", "/x"),
        r"linux\.seccomp\.listenerPath is not supported",
    ),
    (
        lambda s: linux(s).devices.append(LinuxDevice(path="x", type="c")),
        "device path 'x' is not absolute",
    ),
    (
        lambda s: linux(s).devices.append(LinuxDevice(path="/dev/x", type="x")),
        "type 'x', not c, b, u or p",
    ),
]


@pytest.mark.parametrize(("change", "complaint"), CHANGES)
def test_each_contradiction_is_named(change: Callable[[Spec], object], complaint: str) -> None:
    spec = defaults.spec()
    change(spec)
    with pytest.raises(InvalidParameter, match=complaint):
        check(spec)


def test_default_spec_passes() -> None:
    check(defaults.spec())


@pytest.mark.parametrize(
    "key", ["net.ipv4.ip_forward", "net/core/somaxconn", "fs.mqueue.msg_max", "kernel.sem"]
)
def test_namespaced_sysctls_pass(key: str) -> None:
    spec = defaults.spec()
    linux(spec).sysctl = {key: "1"}
    check(spec)


def test_a_process_alone_is_checked() -> None:
    with pytest.raises(InvalidParameter, match="args must not be empty"):
        check_process(Process(cwd="/"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä"])
def test_ids_that_are_no_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid container ID format"):
        check_id(name)


def test_usual_ids_pass() -> None:
    check_id("a1_b+c.d-e")
