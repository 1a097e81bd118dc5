"""Platforms are read and compared as containerd does it, which was asked through Docker 28.5."""

from __future__ import annotations

import pytest

from lading.errors import InvalidParameter
from lading.image.model import architecture
from lading.image.registry.platforms import Platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("Linux/X86_64", Platform("linux", "amd64")),
        ("linux/aarch64", Platform("linux", "arm64")),
        ("arm64", Platform("linux", "arm64")),
        ("x86-64", Platform("linux", "amd64")),
        ("linux", Platform("linux", architecture())),
        ("windows/amd64", Platform("windows", "amd64")),
    ],
)
def test_what_is_asked_for(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a/b/c/d", '^"a/b/c/d": cannot parse platform specifier: invalid argument$'),
        ("linux/", '^"" is an invalid component of "linux/": platform specifier component must '),
        ("linux/am$64", '^"am\\$64" is an invalid component of "linux/am\\$64"'),
        ("foo", '^"foo": unknown operating system or architecture: invalid argument$'),
        ("", '^"" is an invalid component'),
    ],
)
def test_what_is_no_platform(text: str, complaint: str) -> None:
    with pytest.raises(InvalidParameter, match=complaint):
        Platform.parse(text)


def test_the_json_of_query_parameters() -> None:
    given = Platform.from_json('{"os": "linux", "architecture": "arm", "variant": "v6"}')
    assert given == Platform("linux", "arm", "v6")
    for text in ("foo", "[]", '{"os": 1}', "\udc80"):
        with pytest.raises(InvalidParameter, match=r"^failed to parse platform: "):
            Platform.from_json(text)
    with pytest.raises(InvalidParameter, match="both OS and Architecture must be provided"):
        Platform.from_json('{"os": "linux"}')


RUNS = {
    "linux/386": {"linux/386"},
    "linux/arm/v6": {"linux/arm", "linux/arm/v6"},
    "linux/arm/v7": {"linux/arm", "linux/arm/v6", "linux/arm/v7"},
    "linux/arm": {"linux/arm", "linux/arm/v6", "linux/arm/v7"},
    "linux/arm64": {
        *("linux/arm", "linux/arm/v6", "linux/arm/v7"),
        *("linux/arm64", "linux/arm64/v8"),
    },
    "linux/amd64": {"linux/386", "linux/amd64"},
    "linux/amd64/v2": {"linux/386", "linux/amd64", "linux/amd64/v2"},
}
"""For what is asked for: the images that Docker 28.5 takes for it."""


@pytest.mark.parametrize("asked", RUNS)
def test_what_runs_on_what(asked: str) -> None:
    images = set().union(*RUNS.values())
    fitting = {image for image in images if Platform.parse(asked).runs(Platform.parse(image))}
    assert fitting == RUNS[asked]
