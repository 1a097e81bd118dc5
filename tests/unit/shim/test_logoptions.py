"""Docker's log options, and what it says of bad ones (observed with 28.5.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lading.errors import InvalidParameter, LadingError
from lading.shim.logoptions import (
    LogContext,
    check_options,
    log_attributes,
    log_config,
    size_in_bytes,
)
from lading.shim.protocol import LogConfig

PATH = Path("/x/log")
CONTEXT = LogContext(
    container_id="0123456789abcdef" * 4,
    name="web",
    image_id="sha256:" + "fedcba9876543210" * 4,
    image_name="nginx:1",
    labels={"a": "1", "ab": "2", "c": "3"},
    env={"FOO": "x", "BAR": "y"},
)


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("json-file", {"foo": "1"}, "unknown log opt 'foo' for json-file log driver"),
        ("local", {"tag": "1"}, "unknown log opt 'tag' for log driver local"),
        (
            "nosuch",
            {},
            'error looking up logging plugin nosuch: plugin "nosuch" not found',
        ),
        ("json-file", {"mode": "x"}, "logger: logging mode not supported: x"),
        (
            "json-file",
            {"max-buffer-size": "4m"},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "json-file",
            {"max-buffer-size": "x", "mode": "non-blocking"},
            "error parsing option max-buffer-size: invalid size: 'x'",
        ),
    ],
)
def test_what_is_refused_at_creation(driver: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_options(driver, options)
    assert caught.value.message == message


def test_what_is_accepted_at_creation() -> None:
    check_options("none", {"max-size": "1"})
    check_options("local", {"max-size": "1", "mode": "non-blocking", "max-buffer-size": "4m"})
    check_options("json-file", {"max-size": "nonsense", "labels": "a", "env-regex": "["})


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
        ("json-file", {"max-size": "abc"}, "invalid size: 'abc'"),
        ("json-file", {"max-size": "1xb"}, "invalid suffix: 'xb'"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("json-file", {"compress": "y"}, 'strconv.ParseBool: parsing "y": invalid syntax'),
        (
            "json-file",
            {"compress": "true", "max-size": "1m"},
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        ("local", {"max-size": "-1"}, "invalid value for max-size: -1: invalid size: '-1'"),
        (
            "local",
            {"max-file": "x"},
            'invalid value for max-file: x: strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("local", {"max-file": "1"}, "compression cannot be enabled when max file count is 1"),
    ],
)
def test_what_is_refused_at_the_start(driver: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(LadingError) as caught:
        log_config(driver, options, PATH, {})
    prefix = "failed to create task for container: failed to initialize logging driver: "
    assert caught.value.message == prefix + message
    assert caught.value.status == 500


def test_configurations() -> None:
    assert log_config("none", {}, PATH, {}) == LogConfig(driver="none")
    assert log_config("json-file", {}, PATH, {"tag": "x"}) == LogConfig(
        driver="json-file", path="/x/log", attrs={"tag": "x"}
    )
    options = {"max-size": "10m", "max-file": "3", "compress": "true"}
    assert log_config("json-file", options, PATH, {}) == LogConfig(
        driver="json-file", path="/x/log", max_size=10_000_000, max_file=3, compress=True
    )
    assert log_config("local", {}, PATH, {"tag": "x"}) == LogConfig(
        driver="local", path="/x/log", max_size=20_000_000, max_file=5, compress=True
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("5b", 5),
        ("1.5k", 1500),
        ("2KB", 2000),
        ("3 MiB", 3_000_000),
        ("1g", 10**9),
        (".5k", 500),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "k", "1kx", "1bb", "1 2", "--1", "1kib2"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(InvalidParameter):
        size_in_bytes(text)


def test_attributes() -> None:
    options = {
        "labels": "a,nosuch",
        "labels-regex": "^ab",
        "env": "FOO",
        "env-regex": "^B",
        "tag": "{{.Name}}/{{ .ID }} {{.ImageName}} {{.ImageID}} {{.DaemonName}}",
    }
    assert log_attributes(options, CONTEXT) == {
        "a": "1",
        "ab": "2",
        "FOO": "x",
        "BAR": "y",
        "tag": "web/0123456789ab nginx:1 fedcba987654 docker",
    }
    assert log_attributes({}, CONTEXT) == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tag": "{{.Foo}}"}, "can't evaluate field Foo in type"),
        ({"tag": "{{"}, "unclosed action"),
        ({"labels-regex": "["}, "error parsing regexp"),
    ],
)
def test_bad_attributes(options: dict[str, str], words: str) -> None:
    with pytest.raises(LadingError, match=words):
        log_attributes(options, CONTEXT)
