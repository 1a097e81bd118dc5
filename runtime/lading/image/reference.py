"""Image references: `nginx`, `nginx:1.27`, `registry:5000/team/app@sha256:…`, as Docker reads them.

The rules are those of the distribution reference grammar: a name without a domain lives on
docker.io, and there, without a slash, under library/; what people see is the familiar form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lading.errors import InvalidParameter
from lading.storage.digests import Digest, is_digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"

_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_NAME_MAX = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_TAG = r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>{_TAG}))?"
    rf"(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_TAG_ALONE = re.compile(_TAG, re.ASCII)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference: `domain` and `path` always, `tag` and `digest` if they were given."""

    domain: str
    path: str
    tag: str = ""
    digest: Digest = ""

    @property
    def name(self) -> str:
        """The full name without tag and digest: `docker.io/library/nginx`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: `nginx`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        path = self.path
        if path.startswith(_OFFICIAL) and path.count("/") == 1:
            short = path[len(_OFFICIAL) :]
            return path if _IDENTIFIER.fullmatch(short) else short
        return path

    @property
    def familiar(self) -> str:
        """The reference as people write it: `nginx:1.27`, `nginx@sha256:…`."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Reference:
        """Return the reference with `latest` where neither a tag nor a digest is given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def __str__(self) -> str:
        return self.name + self._suffix


def parse(text: str) -> Reference:
    """Read a reference; raise InvalidParameter in Docker's words ("invalid reference format")."""
    if _IDENTIFIER.fullmatch(text):
        raise InvalidParameter(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, rest = _split_domain(text)
    path = rest.partition(":")[0]
    if path.lower() != path:
        raise InvalidParameter(
            f"invalid reference format: repository name ({path}) must be lowercase"
        )
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        raise InvalidParameter("invalid reference format")
    if len(match["path"]) > _NAME_MAX:
        raise InvalidParameter("repository name must not be more than 255 characters")
    digest = match["digest"] or ""
    if digest:
        _check_digest(digest)
    return Reference(match["domain"], match["path"], match["tag"] or "", digest)


def parse_tagged(repository: str, tag: str = "") -> Reference:
    """Read what `POST /images/{name}/tag`, import and commit give: a repository and a tag apart.

    A tag in `repository` itself counts only when `tag` is empty; without either it is `latest`.
    """
    reference = parse(repository)
    if reference.digest:
        raise InvalidParameter("cannot import digest reference")
    if tag:
        if not _TAG_ALONE.fullmatch(tag):
            raise InvalidParameter("invalid tag format")
        return replace(reference, tag=tag)
    return reference.with_default_tag()


def _split_domain(text: str) -> tuple[str, str]:
    """Tell a domain from the first part of a path: it has a dot, a colon or a capital letter."""
    first, slash, rest = text.partition("/")
    is_domain = bool(slash) and (
        "." in first or ":" in first or first == "localhost" or first.lower() != first
    )
    domain = first if is_domain else DEFAULT_DOMAIN
    if not is_domain:
        rest = text
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return domain, rest


def _check_digest(digest: str) -> None:
    if is_digest(digest):
        return
    algorithm, _, hexadecimal = digest.partition(":")
    lengths = {"sha256": 64, "sha384": 96, "sha512": 128}
    if algorithm not in lengths:
        raise InvalidParameter(f"unsupported digest algorithm: {digest}")
    if len(hexadecimal) != lengths[algorithm]:
        raise InvalidParameter(f"invalid checksum digest length: {digest}")
    if hexadecimal != hexadecimal.lower():
        raise InvalidParameter(f"invalid checksum digest format: {digest}")
    if algorithm != "sha256":
        raise InvalidParameter(f"unsupported digest algorithm: {digest} (only sha256 is kept here)")
