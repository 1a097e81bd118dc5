"""Platforms as `--platform` and FROM name them."""

from __future__ import annotations

import pytest

from lading.errors import InvalidParameter
from lading.image.model import architecture
from lading.image.registry.platforms import Platform


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("linux", f"linux/{architecture()}"),
        ("windows", f"windows/{architecture()}"),
        ("arm64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("LINUX/Aarch64", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
    ],
)
def test_what_is_not_named_is_filled_in(text: str, meant: str) -> None:
    assert str(Platform.parse(text)) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("xx", '"xx": unknown operating system or architecture'),
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier'),
        ("linux/", '"" is an invalid component of "linux/"'),
        ("linux/$", '"$" is an invalid component of "linux/$"'),
    ],
)
def test_what_is_no_platform_is_told(text: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Platform.parse(text)
    assert caught.value.message.startswith(words)
