from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidParameter
from lading.image.reference import Reference, parse, parse_tagged

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "digest", "familiar"),
    [
        ("nginx", "docker.io", "library/nginx", "", "", "nginx"),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27", "", "nginx:1.27"),
        ("library/nginx", "docker.io", "library/nginx", "", "", "nginx"),
        ("docker.io/nginx", "docker.io", "library/nginx", "", "", "nginx"),
        ("index.docker.io/nginx", "docker.io", "library/nginx", "", "", "nginx"),
        ("team/app", "docker.io", "team/app", "", "", "team/app"),
        ("localhost/app", "localhost", "app", "", "", "localhost/app"),
        ("localhost", "docker.io", "library/localhost", "", "", "localhost"),
        ("localhost:5000/app:x", "localhost:5000", "app", "x", "", "localhost:5000/app:x"),
        ("foo:5000", "docker.io", "library/foo", "5000", "", "foo:5000"),
        ("a.b/c/d__e", "a.b", "c/d__e", "", "", "a.b/c/d__e"),
        ("HOST/app", "HOST", "app", "", "", "HOST/app"),
        ("[::1]:5000/app", "[::1]:5000", "app", "", "", "[::1]:5000/app"),
        ("x@" + DIGEST, "docker.io", "library/x", "", DIGEST, "x@" + DIGEST),
        ("x:t@" + DIGEST, "docker.io", "library/x", "t", DIGEST, "x:t@" + DIGEST),
        ("a---b", "docker.io", "library/a---b", "", "", "a---b"),
    ],
)
def test_references(
    text: str, domain: str, path: str, tag: str, digest: str, familiar: str
) -> None:
    reference = parse(text)
    assert reference == Reference(domain, path, tag, digest)
    assert reference.familiar == familiar
    assert parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("foo/Bar:x", "invalid reference format: repository name (foo/Bar) must be lowercase"),
        (
            "a" * 64,
            f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings",
        ),
        ("foo:bar:baz", "invalid reference format"),
        ("foo@sha256:1234", "invalid reference format"),
        ("foo//bar", "invalid reference format"),
        ("-foo", "invalid reference format"),
        ("foo_-bar", "invalid reference format"),
        ("foo bar", "invalid reference format"),
        ("foo:" + "t" * 129, "invalid reference format"),
        ("foo\n", "invalid reference format"),
        ("fo\xf6", "invalid reference format"),
        ("a/" * 130 + "b", "repository name must not be more than 255 characters"),
        ("foo@md5:" + "0" * 32, "unsupported digest algorithm: md5:" + "0" * 32),
        ("foo@sha256:" + "0" * 32, "invalid checksum digest length: sha256:" + "0" * 32),
        ("foo@sha256:" + "A" * 64, "invalid checksum digest format: sha256:" + "A" * 64),
    ],
)
def test_bad_references(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        parse(text)
    assert raised.value.message == message


PARTS = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", fullmatch=True).filter(
    lambda part: len(part) < 40
)
DOMAINS = st.sampled_from(["docker.io", "localhost", "registry.example:5000", "10.0.0.1"])


@given(
    DOMAINS,
    st.lists(PARTS, min_size=1, max_size=3),
    st.from_regex(r"(\w[\w.-]{0,20})?", fullmatch=True).filter(str.isascii),
    st.sampled_from(["", DIGEST]),
)
def test_writing_and_reading_is_the_identity(
    domain: str, parts: list[str], tag: str, digest: str
) -> None:
    path = "/".join(parts)
    if domain == "docker.io" and len(parts) == 1:
        path = "library/" + path
    reference = Reference(domain, path, tag, digest)
    assert parse(str(reference)) == reference
    first = parts[0]
    looks_like_domain = "." in first or first == "localhost"
    if domain != "docker.io" or len(parts) == 1 or not looks_like_domain:
        assert parse(reference.familiar).with_default_tag() == reference.with_default_tag()


@given(st.text(max_size=80))
def test_nothing_but_a_reference_or_its_refusal(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidParameter as error:
        assert "\n" not in error.message or "\n" in text  # noqa: PT017
        return
    assert parse(str(reference)) == reference


def test_a_repository_and_a_tag_apart() -> None:
    assert parse_tagged("foo").familiar == "foo:latest"
    assert parse_tagged("foo", "x").familiar == "foo:x"
    assert parse_tagged("foo:y").familiar == "foo:y"
    assert parse_tagged("foo:y", "x").familiar == "foo:x"
    with pytest.raises(InvalidParameter, match="cannot import digest reference"):
        parse_tagged("foo@" + DIGEST)
    with pytest.raises(InvalidParameter, match="invalid tag format"):
        parse_tagged("foo", "b@d")


def test_the_default_tag() -> None:
    assert parse("foo").with_default_tag().tag == "latest"
    assert parse("foo@" + DIGEST).with_default_tag().tag == ""
