"""Checks of single values of `run`'s options; each raises ValueError in Docker's words."""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, inet_pton

from lading.cli.units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STREAMS = ("stdin", "stdout", "stderr")
SYSCTLS = frozenset(
    (
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    )
)
SYSCTL_PREFIXES = ("net.", "fs.mqueue.")


def is_ip(text: str) -> bool:
    """Tell whether text is an IPv4 or IPv6 address."""
    for family in (AF_INET, AF_INET6):
        try:
            inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def attach(text: str) -> str:
    """Check the name of a standard stream."""
    if text.lower() not in STREAMS:
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def env(text: str) -> str:
    """Check a variable.

    One without a value takes that of the calling environment, if there is one.
    """
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    if equals or name not in os.environ:
        return text
    return f"{name}={os.environ[name]}"


def label(text: str) -> str:
    """Check a label: `key` or `key=value`."""
    if not text.partition("=")[0]:
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def ip(text: str) -> str:
    """Check an IP address."""
    if not is_ip(text.strip()):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text.strip()


def search_domain(text: str) -> str:
    """Check a search domain; `.` stands for none."""
    text = text.strip()
    if text == ".":
        return text
    if not any(char.isascii() and char.isalpha() for char in text):
        raise ValueError(f"{text} is not a valid domain")
    labels = text.removesuffix(".").split(".")
    for part in labels:
        plain = part.replace("-", "").replace("_", "")
        good = plain.isascii() and plain.isalnum() and not part.startswith("-")
        if not good or part.endswith("-") or len(part) > 63:
            raise ValueError(f"{text} is not a valid domain")
    return text


def extra_host(text: str) -> str:
    """Check a line for /etc/hosts: `host:ip` or `host=ip`; the API wants the colon."""
    for separator in ("=", ":"):
        name, mark, address = text.partition(separator)
        if mark:
            break
    if not mark or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address != "host-gateway":
        if len(address) > 2 and address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        if not is_ip(address):
            raise ValueError(f'invalid IP address in add-host: "{address}"')
    return f"{name}:{address}"


def sysctl(text: str) -> str:
    """Check a kernel parameter: one that a namespace has its own of."""
    name, equals, _ = text.partition("=")
    if equals and (name in SYSCTLS or name.startswith(SYSCTL_PREFIXES)):
        return text
    raise ValueError(f"sysctl '{text}' is not allowed")


def link(text: str) -> str:
    """Check a link: `container` or `container:alias`."""
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def cgroup_rule(text: str) -> str:
    """Check a device cgroup rule, such as `c 1:3 rwm`."""
    parts = text.split(" ")
    good = len(parts) == 3 and parts[0] in ("a", "b", "c")
    numbers = parts[1].split(":") if good else []
    good = good and len(numbers) == 2 and all(n == "*" or n.isdigit() for n in numbers)
    if not good or not parts[2] or parts[2].strip("rwm") or len(parts[2]) > 3:
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def weight_device(text: str) -> dict[str, Any]:
    """Read `/dev/path:weight`."""
    path, _, weight = _device(text)
    if not weight.isdigit() or not (weight == "0" or 10 <= int(weight) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(weight)}


def _device(text: str) -> tuple[str, str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, colon, value


def throttle_bytes(text: str) -> dict[str, Any]:
    """Read `/dev/path:bytes a second`, with an optional unit."""
    path, _, value = _device(text)
    try:
        rate = parse_size(value)
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is "
            "<device-path>:<number>[<unit>]. Number must be a positive integer. "
            "Unit is optional and can be kb, mb, or gb"
        ) from None
    return {"Path": path, "Rate": rate}


def throttle_operations(text: str) -> dict[str, Any]:
    """Read `/dev/path:operations a second`."""
    path, _, value = _device(text)
    if not (value.isascii() and value.isdigit()):
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        )
    return {"Path": path, "Rate": int(value)}


ULIMITS = frozenset(
    (
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    )
)


def ulimit(text: str) -> dict[str, Any]:
    """Read `name=soft[:hard]`; -1 is no limit."""
    from lading.cli.kinds import parse_int

    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    numbers = limits.split(":")
    if len(numbers) > 2:
        raise ValueError(
            f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        )
    soft = parse_int(numbers[0])
    hard = parse_int(numbers[-1])
    if hard != -1 and (soft == -1 or soft > hard):
        if soft == -1:
            raise ValueError(
                "ulimit soft limit must be less than or equal to hard limit: "
                f"soft: -1 (unlimited), hard: {hard}"
            )
        raise ValueError(
            f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )
    return {"Name": name, "Hard": hard, "Soft": soft}
