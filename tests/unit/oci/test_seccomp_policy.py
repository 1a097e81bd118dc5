"""The default seccomp policy is Docker's, rule by rule; profiles resolve as Docker's do."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from lading.errors import InvalidParameter
from lading.oci import seccomp_profile
from lading.oci.defaults import CAPABILITIES, seccomp
from lading.oci.seccomp_default import ALWAYS, BY_CAPABILITY, default_profile
from lading.oci.seccomp_profile import Profile, resolve
from lading.oci.spec import LinuxSeccomp

REFERENCE = Path(__file__).resolve().parents[4] / "shared/reference/seccomp-default.json"

SINGLE = [(name,) for name in sorted(BY_CAPABILITY)]
CAPABILITY_SETS = [
    (),
    CAPABILITIES,
    tuple(BY_CAPABILITY),
    ("CAP_SYS_ADMIN", "CAP_BPF"),
    ("CAP_SYS_PTRACE", "CAP_SYSLOG"),
    *SINGLE,
]
MACHINES = ("x86_64", "aarch64", "i686", "armv7l", "ppc64le", "s390x", "riscv64", "loongarch64")
KERNELS = ((4, 4), (4, 8), (6, 1))


def table(filter_: LinuxSeccomp) -> dict[str, set[tuple[object, ...]]]:
    """Give for each call the set of (action, errno, conditions), whatever the rules' order."""
    found: dict[str, set[tuple[object, ...]]] = {}
    for rule in filter_.syscalls:
        conditions = tuple((a.index, a.value, a.value_two, a.op) for a in rule.args)
        for name in rule.names:
            found.setdefault(name, set()).add((rule.action, rule.errno_ret, conditions))
    return found


@pytest.fixture(scope="module")
def reference() -> Profile:
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is not here")
    return seccomp_profile.decode(REFERENCE.read_bytes())


@pytest.mark.parametrize(("machine", "kernel"), list(product(MACHINES, KERNELS)))
def test_policy_is_the_references(
    reference: Profile, machine: str, kernel: tuple[int, int]
) -> None:
    for held in CAPABILITY_SETS:
        ours = resolve(default_profile(), held, machine=machine, kernel=kernel)
        theirs = resolve(reference, held, machine=machine, kernel=kernel)
        assert table(ours) == table(theirs), held
        assert (ours.default_action, ours.default_errno_ret) == (
            theirs.default_action,
            theirs.default_errno_ret,
        )
        assert ours.architectures == theirs.architectures


def test_no_call_is_listed_twice() -> None:
    names = " ".join(ALWAYS.values()).split()
    assert len(names) == len(set(names))


def test_a_capability_opens_its_calls() -> None:
    assert "mount" not in table(seccomp(["CAP_KILL"]))
    assert table(seccomp(["CAP_SYS_ADMIN"]))["mount"] == {("SCMP_ACT_ALLOW", None, ())}


def test_clone3_answers_enosys_without_sys_admin() -> None:
    assert table(seccomp([]))["clone3"] == {("SCMP_ACT_ERRNO", 38, ())}
    assert table(seccomp(["CAP_SYS_ADMIN"]))["clone3"] == {("SCMP_ACT_ALLOW", None, ())}


def test_excluding_conditions_hold_for_any_of_theirs() -> None:
    profile = seccomp_profile.decode(
        """{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"name": "read", "action": "SCMP_ACT_LOG", "excludes": {"caps": ["A", "B"]}},
        {"names": ["write"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["A", "B"]}},
        {"names": ["open"], "action": "SCMP_ACT_LOG", "excludes": {"minKernel": "5.4"}}]}"""
    )
    assert set(table(resolve(profile, ["A"], kernel=(5, 4)))) == set()
    assert set(table(resolve(profile, ["A", "B"], kernel=(5, 3)))) == {"write", "open"}
    assert set(table(resolve(profile, [], kernel=(5, 10)))) == {"read"}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"defaultAction": "X", "syscalls": [{"action": "Y"}]}',
        '{"defaultAction": "X", "syscalls": [{"names": ["a"], "name": "b", "action": "Y"}]}',
        '{"defaultAction": "X", "architectures": ["A"], "archMap": [{"architecture": "B"}]}',
        '{"defaultAction": "X", "syscalls": [{"name": "a", "action": "Y", "excludes": 1}]}',
        """{"defaultAction": "X", "syscalls":
        [{"names": ["a"], "action": "Y", "includes": {"minKernel": "new"}}]}""",
    ],
)
def test_malformed_profiles_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        seccomp_profile.decode(text)
