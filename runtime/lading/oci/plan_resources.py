"""Device rules of a cgroup as the kernel gets them: the spec's, and those of every container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lading.oci.spec_linux import LinuxDeviceCgroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.oci.spec_linux import LinuxResources


def _allow(kind: str, major: int | None, minor: int | None, access: str) -> LinuxDeviceCgroup:
    return LinuxDeviceCgroup(allow=True, type=kind, major=major, minor=minor, access=access)


ALWAYS_ALLOWED = (
    _allow("c", None, None, "m"),
    _allow("b", None, None, "m"),
    _allow("c", 1, 3, "rwm"),
    _allow("c", 1, 5, "rwm"),
    _allow("c", 1, 7, "rwm"),
    _allow("c", 1, 8, "rwm"),
    _allow("c", 1, 9, "rwm"),
    _allow("c", 5, 0, "rwm"),
    _allow("c", 5, 2, "rwm"),
    _allow("c", 136, None, "rwm"),
)
"""Making any node, and the use of null, zero, full, random, urandom, tty, ptmx and ptys."""


def with_default_devices(resources: LinuxResources | None) -> LinuxResources | None:
    """Give *resources* with the device rules that the kernel shall get, shortest first.

    Without any rule all devices stay as they are. Rules before one for all devices do not count.
    """
    if resources is None or not resources.devices:
        return resources
    rules = [_normal(rule) for rule in resources.devices]
    for index in range(len(rules) - 1, 0, -1):
        if _is_for_all(rules[index]):
            rules = rules[index:]
            break
    if not (_is_for_all(rules[0]) and rules[0].allow and len(rules) == 1):
        rules += ALWAYS_ALLOWED
    return replace(resources, devices=_without_repetitions(rules))


def _normal(rule: LinuxDeviceCgroup) -> LinuxDeviceCgroup:
    """Give the rule with None for every form of "all" (-1, "a", "")."""
    kind = None if rule.type in ("a", "") else rule.type
    return LinuxDeviceCgroup(
        allow=rule.allow,
        type=kind,
        major=None if rule.major == -1 or kind is None else rule.major,
        minor=None if rule.minor == -1 or kind is None else rule.minor,
        access=rule.access or "rwm",
    )


def _is_for_all(rule: LinuxDeviceCgroup) -> bool:
    return rule.type is None and set(rule.access or "rwm") >= set("rwm")


def _without_repetitions(rules: Sequence[LinuxDeviceCgroup]) -> list[LinuxDeviceCgroup]:
    """Drop a rule that comes again later, word for word: only the last one counts."""
    kept: list[LinuxDeviceCgroup] = []
    for index, rule in enumerate(rules):
        if rule not in rules[index + 1 :]:
            kept.append(rule)
    return kept
