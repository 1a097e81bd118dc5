"""Image references as users write them: `[registry/]name[:tag][@digest]`."""

from __future__ import annotations

from lading.cli.failures import CliError

DEFAULT_DOMAIN = "docker.io"
OFFICIAL = "library/"
HEX = frozenset("0123456789abcdef")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_TAG_FIRST = _WORD | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_TAG = _TAG_FIRST | frozenset(".-")


class Reference:
    """A parsed reference.

    `domain` and `path` are complete: `docker.io` and `library/debian` for `debian`.
    """

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str, digest: str) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def familiar(self) -> str:
        """The name as users write it, without tag and digest."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix(OFFICIAL) if self.path.count("/") == 1 else self.path

    def __str__(self) -> str:
        """Show the reference as users write it."""
        text = self.familiar + (f":{self.tag}" if self.tag else "")
        return text + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Reference:
        """Give the same reference, with the tag `latest` if it has neither tag nor digest."""
        tag = self.tag or ("" if self.digest else "latest")
        return Reference(self.domain, self.path, tag, self.digest)


def parse(text: str) -> Reference:
    """Read a reference; raises CliError in Docker's words."""
    if len(text) == 64 and HEX.issuperset(text):
        raise CliError(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    rest, at, digest = text.partition("@")
    if at and not _is_digest(digest):
        raise CliError("invalid reference format")
    domain, path = _split_domain(rest)
    tag = ""
    if ":" in path:
        path, _, tag = path.rpartition(":")
        if not tag or tag[0] not in _TAG_FIRST or not _TAG.issuperset(tag) or len(tag) > 128:
            raise CliError("invalid reference format")
    if path != path.lower():
        if _is_path(path.lower()):
            raise CliError(f"invalid reference format: repository name ({path}) must be lowercase")
        raise CliError("invalid reference format")
    if not _is_path(path) or not _is_domain(domain):
        raise CliError("invalid reference format")
    return Reference(domain, path, tag, digest)


def check_image(text: str) -> None:
    """Check what names an image: a reference, or the id of one; raises CliError."""
    identifier = text.removeprefix("sha256:")
    if not (len(identifier) == 64 and HEX.issuperset(identifier)):
        parse(text)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash or not (
        any(c in first for c in ".:") or first == "localhost" or first != first.lower()
    ):
        domain, path = DEFAULT_DOMAIN, text
    else:
        domain, path = first, rest
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = OFFICIAL + path
    return domain, path


def _is_digest(text: str) -> bool:
    algorithm, colon, digits = text.partition(":")
    return bool(algorithm and colon) and len(digits) >= 32 and HEX.issuperset(digits.lower())


def _is_domain(text: str) -> bool:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host = text
    elif not port.isdigit():
        return False
    if host.startswith("["):
        return host.endswith("]")
    labels = host.split(".")
    return all(
        part
        and part.replace("-", "").isalnum()
        and not part.startswith("-")
        and not part.endswith("-")
        for part in labels
    )


def _is_path(text: str) -> bool:
    return all(_is_component(component) for component in text.split("/"))


def _is_component(text: str) -> bool:
    """Tell whether text is lower case words and digits, joined by `.`, `_`, `__` or dashes."""
    if not text or text[0] not in _WORD or text[-1] not in _WORD:
        return False
    joined = ""
    for char in text:
        if char in _WORD:
            joined = ""
            continue
        joined += char
        if joined not in (".", "_", "__") and joined.strip("-"):
            return False
    return True
