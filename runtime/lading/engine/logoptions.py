"""What a container's log driver is told: its options, and the attributes that lines carry."""

from __future__ import annotations

import re
from pathlib import Path

from lading.engine.model import Container
from lading.errors import InvalidParameter
from lading.shim import logfile
from lading.shim.protocol import LogConfig


def shim_log_config(record: Container, path: Path) -> LogConfig:
    """Give the shim's log configuration; raises InvalidParameter for bad options."""
    chosen = record.host_config.log_config
    return logfile.log_config(chosen.type, chosen.config or {}, path, _attributes(record))


def _attributes(record: Container) -> dict[str, str]:
    """Select labels and variables by the options labels, env and their -regex forms."""
    options = record.host_config.log_config.config or {}
    labels = record.config.labels or {}
    pairs = [each.partition("=") for each in record.config.env or ()]
    variables = {name: value for name, _, value in pairs}
    found: dict[str, str] = {}
    for known, listed, pattern in (
        (labels, "labels", "labels-regex"),
        (variables, "env", "env-regex"),
    ):
        wanted = [name for name in options.get(listed, "").split(",") if name]
        found.update({name: known[name] for name in wanted if name in known})
        if options.get(pattern):
            compiled = _compiled(options[pattern])
            found.update({name: value for name, value in known.items() if compiled.search(name)})
    if options.get("tag"):
        found["tag"] = _tag(options["tag"], record)
    return found


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidParameter(f"log option has a bad regular expression: {error}") from None


def _tag(template: str, record: Container) -> str:
    """Fill in a tag's fields, such as `{{.Name}}/{{.ID}}`; unknown ones stay as they are."""
    fields = {
        "ID": record.short_id,
        "FullID": record.id,
        "Name": record.name,
        "ImageName": record.config.image,
        "ImageID": record.image_id.removeprefix("sha256:")[:12],
        "ImageFullID": record.image_id,
        "DaemonName": "lading",
    }
    return re.sub(r"\{\{\s*\.(\w+)\s*\}\}", lambda found: fields.get(found[1], found[0]), template)
