"""Host devices in a container: the nodes to make, and the rules that let them be used."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from lading.engine.model import DeviceMapping, HostConfig, Resources
from lading.errors import LadingError
from lading.kernel import devices
from lading.kernel.devices import DeviceInfo
from lading.oci import defaults
from lading.oci.spec import LinuxDevice, LinuxDeviceCgroup

_RULE = re.compile(r"([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})")

_NOT_FOR_CONTAINERS = frozenset({"console", "pts", "shm", "mqueue", "fd", "core", "ptmx"})
"""What is under the host's /dev, and is a container's own or none of its business."""


def device_rules(limits: Resources, *, privileged: bool) -> list[LinuxDeviceCgroup]:
    """Give the device rules: everything for a privileged container, else what was asked for."""
    rules = defaults.device_rules(privileged=privileged)
    if privileged:
        return rules
    for mapping in limits.devices or ():
        access = mapping.cgroup_permissions or "rwm"
        known = "".join(letter for letter in "rwm" if letter in access)
        rules += [_rule_of(info, known) for _, info in _mapped(mapping) if known]
    rules += [_parse_rule(text) for text in limits.device_cgroup_rules or ()]
    return rules


def device_nodes(host: HostConfig) -> list[LinuxDevice]:
    """Give the nodes to make beside the default ones."""
    if host.privileged:
        return [_node(path, info) for path, info in _all_host_devices("/dev")]
    return [_node(path, info) for mapping in host.devices or () for path, info in _mapped(mapping)]


def check_device_requests(host: HostConfig) -> None:
    """Refuse requests to device drivers, of which there are none; raises LadingError."""
    for request in host.device_requests or ():
        wanted = " ".join(f"[{' '.join(group)}]" for group in request.capabilities or ())
        raise LadingError(
            f'could not select device driver "{request.driver}" with capabilities: [{wanted}]'
        )


def _rule_of(info: DeviceInfo, access: str) -> LinuxDeviceCgroup:
    return LinuxDeviceCgroup(
        allow=True, type=info.kind, major=info.major, minor=info.minor, access=access
    )


def _parse_rule(text: str) -> LinuxDeviceCgroup:
    found = _RULE.fullmatch(text)
    if found is None:
        raise LadingError(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = found.groups()
    return LinuxDeviceCgroup(
        allow=True,
        type=kind,
        major=None if major == "*" else int(major),
        minor=None if minor == "*" else int(minor),
        access=access,
    )


def _node(path: str, info: DeviceInfo) -> LinuxDevice:
    return LinuxDevice(
        path=path,
        type=info.kind,
        major=info.major,
        minor=info.minor,
        file_mode=info.mode,
        uid=info.uid,
        gid=info.gid,
    )


def _mapped(mapping: DeviceMapping) -> Iterator[tuple[str, DeviceInfo]]:
    """Give the devices of a mapping by their path inside; a directory gives all that it holds."""
    source = os.path.realpath(mapping.path_on_host)
    inside = mapping.path_in_container or mapping.path_on_host
    try:
        info = devices.inspect(source)
    except OSError as error:
        raise LadingError(
            f'error gathering device information while adding custom device "'
            f'{mapping.path_on_host}": {(error.strerror or "").lower()}'
        ) from error
    if info is not None:
        yield inside, info
        return
    found = [(inside + path[len(source) :], each) for path, each in _all_host_devices(source)]
    if not found:
        raise LadingError(
            f'error gathering device information while adding custom device "'
            f'{mapping.path_on_host}": not a device node'
        )
    yield from found


def _all_host_devices(directory: str) -> Iterator[tuple[str, DeviceInfo]]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        path = os.path.join(directory, name)
        if name in _NOT_FOR_CONTAINERS or os.path.islink(path):
            continue
        if os.path.isdir(path):
            yield from _all_host_devices(path)
            continue
        info = _inspect(path)
        if info is not None:
            yield path, info


def _inspect(path: str) -> DeviceInfo | None:
    """Look at a node; it may have vanished since its directory was read."""
    try:
        return devices.inspect(path)
    except OSError:
        return None
