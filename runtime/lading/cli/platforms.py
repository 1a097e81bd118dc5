"""Platforms: `linux/arm64/v8`, and as the API wants them."""

from __future__ import annotations

from lading.cli import fastjson
from lading.cli.failures import CliError

ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "i386": "386",
}


def parse(text: str, complaint: str = "invalid platform") -> dict[str, str]:
    """Read `os[/arch[/variant]]`; raises CliError that begins with the complaint."""
    parts = text.lower().split("/")
    plain = [part.replace("_", "").replace("-", "").replace(".", "") for part in parts]
    if len(parts) > 3 or not all(part.isalnum() for part in plain):
        raise CliError(f'{complaint}: "{text}": cannot parse platform specifier: invalid argument')
    found = {"os": parts[0]}
    if len(parts) > 1:
        found["architecture"] = ARCHITECTURES.get(parts[1], parts[1])
    if len(parts) > 2:
        found["variant"] = parts[2]
    return found


def as_json(text: str) -> str:
    """Give a platform as the JSON that query parameters of the API take."""
    return fastjson.dumps(parse(text))
