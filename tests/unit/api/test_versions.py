from __future__ import annotations

import pytest

from lading.api.versions import CURRENT, Version, negotiate, split_version
from lading.errors import InvalidParameter


def test_versions_compare_as_numbers() -> None:
    assert Version.parse("1.9") < Version.parse("1.24") < Version.parse("1.51")


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("/v1.51/info", ("1.51", "/info")),
        ("/info", (None, "/info")),
        ("/volumes", (None, "/volumes")),
        ("/v1.41/volumes/v1.2", ("1.41", "/volumes/v1.2")),
        ("/version", (None, "/version")),
    ],
)
def test_prefix(path: str, split: tuple[str | None, str]) -> None:
    assert split_version(path) == split


def test_without_a_version_the_newest_is_spoken() -> None:
    assert negotiate(None) == CURRENT
    assert negotiate("1.24") == Version(1, 24)


TOO_OLD = "Minimum supported API version is 1.24, please upgrade your client to a newer version"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.51"),
        ("1.10", f"client version 1.10 is too old. {TOO_OLD}"),
        ("1..", f"client version 1.. is too old. {TOO_OLD}"),
    ],
)
def test_outside_of_what_is_supported(asked: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as failure:
        negotiate(asked)
    assert failure.value.message == words
