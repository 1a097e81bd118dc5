"""Docker's `--log-driver` and `--log-opt`: what is accepted, and what it means for the writer.

Docker looks at the options' names when a container is created, and at most of their values when it
is started; so does the engine, with `check_options` and `log_config`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter, LadingError
from lading.shim.protocol import LogConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DRIVERS = ("json-file", "local", "none")
_EVERY_DRIVER = {"mode", "max-buffer-size"}
_KNOWN = {
    "json-file": {
        *("max-file", "max-size", "compress"),
        *("labels", "labels-regex", "env", "env-regex", "tag"),
    },
    "local": {"max-file", "max-size", "compress"},
}
_LOCAL_SIZE, _LOCAL_FILES = 20_000_000, 5
_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}


@dataclass(slots=True, frozen=True, kw_only=True)
class LogContext:
    """The container that a log's attributes tell of; `tag` templates name its fields."""

    container_id: str
    name: str
    """Without the leading slash."""
    image_id: str
    image_name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    daemon_name: str = "docker"


def check_options(driver: str, options: Mapping[str, str]) -> None:
    """Refuse, when a container is created, an unknown driver or option; raises InvalidParameter."""
    if driver not in DRIVERS:
        raise InvalidParameter(
            f'error looking up logging plugin {driver}: plugin "{driver}" not found'
        )
    mode = options.get("mode", "blocking")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidParameter(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidParameter(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
            )
        try:
            size_in_bytes(options["max-buffer-size"])
        except InvalidParameter as error:
            message = f"error parsing option max-buffer-size: {error.message}"
            raise InvalidParameter(message) from None
    if driver in _KNOWN:
        for name in options:
            if name not in _KNOWN[driver] | _EVERY_DRIVER:
                raise InvalidParameter(_unknown(driver, name))


def _unknown(driver: str, name: str) -> str:
    place = f"{driver} log driver" if driver == "json-file" else f"log driver {driver}"
    return f"unknown log opt '{name}' for {place}"


def log_config(
    driver: str, options: Mapping[str, str], path: Path, attrs: Mapping[str, str]
) -> LogConfig:
    """Make the writer's configuration when a container is started.

    `path` is the log file, `attrs` comes from `log_attributes`. Raises LadingError in Docker's
    words for a value that makes no sense.
    """
    try:
        if driver == "none":
            return LogConfig(driver="none")
        if driver == "local":
            return _local(options, path)
        return _json_file(options, path, attrs)
    except InvalidParameter as error:
        message = f"failed to initialize logging driver: {error.message}"
        raise LadingError(f"failed to create task for container: {message}") from None


def _json_file(options: Mapping[str, str], path: Path, attrs: Mapping[str, str]) -> LogConfig:
    max_size = -1
    if "max-size" in options:
        max_size = size_in_bytes(options["max-size"])
        if max_size <= 0:
            raise InvalidParameter("max-size must be a positive number")
    max_file = _integer(options.get("max-file", "1"))
    if max_file < 1:
        raise InvalidParameter("max-file cannot be less than 1")
    compress = _boolean(options.get("compress", "false"))
    if compress and (max_file == 1 or max_size == -1):
        raise InvalidParameter(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    return LogConfig(
        driver="json-file",
        path=str(path),
        max_size=max_size,
        max_file=max_file,
        compress=compress,
        attrs=dict(attrs),
    )


def _local(options: Mapping[str, str], path: Path) -> LogConfig:
    max_size, max_file = _LOCAL_SIZE, _LOCAL_FILES
    if "max-size" in options:
        max_size = _named_value("max-size", options["max-size"], size_in_bytes)
    if "max-file" in options:
        max_file = _named_value("max-file", options["max-file"], _integer)
    try:
        compress = _boolean(options.get("compress", "true"))
    except InvalidParameter as error:
        message = f"error reading compress log option: {error.message}"
        raise InvalidParameter(message) from None
    if compress and max_file <= 1:
        raise InvalidParameter("compression cannot be enabled when max file count is 1")
    return LogConfig(
        driver="local",
        path=str(path),
        max_size=max_size if max_size > 0 else -1,
        max_file=max(1, max_file),
        compress=compress,
    )


def _named_value(name: str, text: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(text)
    except InvalidParameter as error:
        message = f"invalid value for {name}: {text}: {error.message}"
        raise InvalidParameter(message) from None


def size_in_bytes(text: str) -> int:
    """Read a size with a decimal unit ("10m" is 10,000,000), as Docker's log options have it."""
    number, suffix = re.fullmatch(r"(?s)(.*[0-9.])? ?(.*)", text).groups()  # type: ignore[union-attr]
    if number is None or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", number):
        raise InvalidParameter(f"invalid size: '{text}'")
    unit = re.fullmatch(r"(b?)|([kmgtp])(i?b)?", suffix.lower())
    if unit is None:
        raise InvalidParameter(f"invalid suffix: '{suffix}'")
    return int(float(number) * 1000 ** _UNITS[unit.group(2) or ""])


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise InvalidParameter(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise InvalidParameter(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE


def log_attributes(options: Mapping[str, str], context: LogContext) -> dict[str, str]:
    """Evaluate `labels`, `labels-regex`, `env`, `env-regex` and `tag` for a container.

    Raises LadingError, when the container is started, for a bad pattern or template.
    """
    attributes: dict[str, str] = {}
    try:
        for option, values in (("labels", context.labels), ("env", context.env)):
            wanted = [key.strip() for key in options.get(option, "").split(",")]
            attributes |= {key: values[key] for key in wanted if key in values}
            pattern = options.get(f"{option}-regex", "")
            if pattern:
                expression = _compiled(pattern)
                attributes |= {key: text for key, text in values.items() if expression.search(key)}
        if options.get("tag"):
            attributes["tag"] = _tag(options["tag"], context)
    except InvalidParameter as error:
        message = f"failed to initialize logging driver: {error.message}"
        raise LadingError(f"failed to create task for container: {message}") from None
    return attributes


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        message = f"error parsing regexp: {error.msg}: `{pattern}`"
        raise InvalidParameter(message) from None


def _tag(template: str, context: LogContext) -> str:
    """Fill in a tag template: text and fields, `{{.Name}}/{{.ID}}`."""
    fields = {
        "ID": context.container_id[:12],
        "FullID": context.container_id,
        "Name": context.name,
        "ImageID": context.image_id.removeprefix("sha256:")[:12],
        "ImageFullID": context.image_id,
        "ImageName": context.image_name,
        "Command": context.command,
        "DaemonName": context.daemon_name,
    }

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in fields:
            raise InvalidParameter(
                f'template: log-tag:1:{match.start() + 2}: executing "log-tag" at <.{name}>: '
                f"can't evaluate field {name} in type *logger.Info"
            )
        return fields[name]

    filled, _ = re.subn(r"\{\{\s*\.(\w+)\s*\}\}", value, template)
    if "{{" in re.sub(r"\{\{\s*\.(\w+)\s*\}\}", "", template):
        raise InvalidParameter("template: log-tag:1: unclosed action or one other than a field")
    return filled
