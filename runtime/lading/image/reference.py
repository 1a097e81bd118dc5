"""Image references: `nginx`, `nginx:1.27`, `registry:5000/team/app@sha256:…`, as Docker reads them.

The rules are those of the distribution reference grammar: a name without a domain lives on
docker.io, and there, without a slash, under library/; what people see is the familiar form.
"""

from __future__ import annotations

from dataclasses import dataclass

from lading.storage.digests import Digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"


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
        raise NotImplementedError

    @property
    def familiar_name(self) -> str:
        """The name as people write it: `nginx`."""
        raise NotImplementedError

    @property
    def familiar(self) -> str:
        """The reference as people write it: `nginx:1.27`, `nginx@sha256:…`."""
        raise NotImplementedError

    def with_default_tag(self) -> Reference:
        """Return the reference with `latest` where neither a tag nor a digest is given."""
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError


def parse(text: str) -> Reference:
    """Read a reference; raise InvalidParameter in Docker's words ("invalid reference format")."""
    raise NotImplementedError


def parse_tagged(repository: str, tag: str = "") -> Reference:
    """Read what `POST /images/{name}/tag`, import and commit give: a repository and a tag apart."""
    raise NotImplementedError
