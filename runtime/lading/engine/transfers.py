"""Images to and from registries: pull, push, logins, and what a registry says of an image."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lading.engine import filters as terms
from lading.engine.events import EventBus, EventType
from lading.engine.filters import Filters
from lading.engine.settings import Settings
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.image import reference
from lading.image.model import CONFIG_MAX
from lading.image.model import Platform as Described
from lading.image.reference import Reference
from lading.image.store import ImageStore

if TYPE_CHECKING:
    from lading.image.registry.client import RawManifest
    from lading.image.registry.progress import Report
    from lading.image.registry.pull import Pulled, Puller
    from lading.image.registry.push import Pushed, Pusher
    from lading.image.registry.search import Result
    from lading.image.registry.settings import Credentials, RegistrySettings


FULL_ID = re.compile("(sha256:)?[0-9a-f]{64}")

SEARCH_FILTERS = ("is-automated", "is-official", "stars")


class Transfers:
    """Pulls and pushes; the registry client is imported when it is first needed."""

    def __init__(
        self, store: ImageStore, root: Path, settings: Callable[[], Settings], events: EventBus
    ) -> None:
        self._store = store
        self._root = root
        self._settings = settings
        self._events = events
        self._pullers: tuple[RegistrySettings, Puller] | None = None

    async def pull(
        self, ref: Reference, credentials: Credentials, report: Report, platform: str = ""
    ) -> Pulled:
        """Get the image of a tag or digest, or of all tags that a repository has there.

        Raises NotFound, Unauthorized, Unavailable, and InvalidParameter for what is not as its
        digest says.
        """
        from lading.image.registry.platforms import Platform

        wanted = Platform.parse(platform) if platform else None
        puller = self._puller()
        refs = [ref]
        if not ref.tag and not ref.digest:
            tags = await puller.tags(ref, credentials)
            refs = [Reference(ref.domain, ref.path, tag) for tag in tags]
        newer = False
        for one in refs:
            pulled = await puller.pull(one, credentials, report, wanted)
            newer = newer or pulled.newer
            self._publish("pull", one)
        return replace(pulled, newer=newer)

    async def search(
        self, term: str, limit: int, filters: Filters, credentials: Credentials
    ) -> list[Result]:
        """Ask an index for repositories; raises InvalidParameter for a filter it does not know."""
        from lading.image.registry.search import search

        terms.check(filters, SEARCH_FILTERS)
        official = terms.flag(filters, "is-official")
        automated = terms.flag(filters, "is-automated")
        try:
            stars = max(map(int, filters.get("stars", ["0"])))
        except ValueError:
            raise InvalidParameter(
                f"invalid filter 'stars={filters['stars'][0]}': it takes a whole number"
            ) from None
        return [
            result
            for result in await search(term, limit, credentials, self._registries())
            if official in (None, result.is_official)
            and automated in (None, result.is_automated)
            and result.star_count >= stars
        ]

    def to_push(self, name: str, tag: str) -> list[Reference]:
        """Give the tags that a push means: one, or all that the repository has here.

        Raises NotFound, in Docker's words, if there is none.
        """
        repository = reference.parse(name)
        wanted = tag or repository.tag
        known = [reference.parse(text) for image in self._store.list() for text in image.tags]
        here = [ref for ref in known if ref.name == repository.name]
        if not here:
            raise NotFound(
                f"An image does not exist locally with the tag: {repository.familiar_name}"
            )
        found = [ref for ref in here if wanted in ("", ref.tag)]
        if not found:
            raise NotFound(f"tag does not exist: {repository.familiar_name}:{wanted}")
        return sorted(found, key=lambda ref: ref.tag)

    async def push(self, ref: Reference, credentials: Credentials, report: Report) -> Pushed:
        """Give the image of a tag to its registry."""
        pushed = await self._pusher().push(ref, self._store.get(ref.familiar), credentials, report)
        self._publish("push", ref)
        return pushed

    async def inspect(
        self, name: str, credentials: Credentials
    ) -> tuple[RawManifest, list[Described]]:
        """Ask a registry for an image's manifest, or its index, and the platforms it is for.

        Raises NotFound in Docker's words, Unauthorized, Unavailable, InvalidParameter.
        """
        from lading.image.registry.client import connect
        from lading.image.registry.manifests import Index, decode, platform_of

        if FULL_ID.fullmatch(name):
            raise LadingError("no manifest found for full image ID")
        named = reference.parse(name).with_default_tag()
        async with await connect(named, credentials, self._registries(), pull=True) as client:
            try:
                raw = await client.manifest(named.digest or named.tag)
            except NotFound:
                raise NotFound("manifest unknown: manifest unknown") from None
            parsed = decode(raw.data, raw.media_type)
            if isinstance(parsed, Index):
                return raw, [one.platform for one in parsed.manifests if one.platform is not None]
            config = await client.document(parsed.config.digest, CONFIG_MAX)
        return raw, [platform_of(config)]

    async def check_login(self, host: str, credentials: Credentials) -> None:
        """Ask a registry whether it takes a login; raises Unauthorized, Unavailable."""
        from lading.image.registry.client import connect

        place = Reference(host, "")
        await (await connect(place, credentials, self._registries(), pull=False)).close()

    def _registries(self) -> RegistrySettings:
        from lading.image.registry.settings import RegistrySettings

        settings = self._settings()
        return RegistrySettings(settings.insecure_registries, settings.registry_mirrors)

    def _puller(self) -> Puller:
        """Return the puller for the registry options as they are now."""
        from lading.image.registry.pull import Puller

        registries = self._registries()
        if self._pullers is None or self._pullers[0] != registries:
            self._pullers = (registries, Puller(self._store, self._root, registries))
        return self._pullers[1]

    def _pusher(self) -> Pusher:
        from lading.image.registry.push import Pusher

        return Pusher(self._store, self._root, self._registries())

    def _publish(self, action: str, ref: Reference) -> None:
        attributes = {"name": ref.familiar_name}
        self._events.publish(EventType.IMAGE, action, ref.familiar, attributes)
