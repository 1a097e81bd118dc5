"""Which containers a list shows: the filters of `docker ps`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lading.engine import filters as terms
from lading.engine import times
from lading.engine.model import HealthStatus, Status
from lading.engine.ports import parse_host_ports
from lading.errors import InvalidParameter, LadingError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lading.engine.filters import Filters
    from lading.engine.model import Container
    from lading.engine.registry import Registry

LIST_FILTERS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label",
    "label!", "name", "network", "publish", "since", "status", "volume",
)  # fmt: skip


class Listing:
    """One list: its filters, understood."""

    def __init__(
        self, registry: Registry, filters: Filters, ancestors: Callable[[str], set[str]]
    ) -> None:
        """Check the filters; `ancestors` gives the ids of an image and of those made from it.

        Raises InvalidParameter for unknown filters and values.
        """
        terms.check(filters, LIST_FILTERS)
        self._filters = filters
        self._statuses = [_status(value) for value in filters.get("status", ())]
        self._exit_codes = [_number(value) for value in filters.get("exited", ())]
        self._healths = [_health(value) for value in filters.get("health", ())]
        self._images = self._ancestors(ancestors)
        self._before = self._moment(registry, "before")
        self._since = self._moment(registry, "since")
        self._published = [_ports(value) for value in filters.get("publish", ())]
        self._exposed = [_ports(value) for value in filters.get("expose", ())]
        self._names = [_pattern(value) for value in filters.get("name", ())]

    def select(self, registry: Registry, *, everything: bool, limit: int = 0) -> list[Container]:
        """Give what passes, newest first; without `everything`, only containers that run.

        A filter about states, or a limit, shows stopped containers, too.
        """
        everything = everything or limit > 0 or bool(self._statuses or self._exit_codes)
        found = [
            entry.record
            for entry in registry
            if (everything or entry.record.running) and self._passes(entry.record)
        ]
        found.sort(key=lambda record: times.parsed(record.created), reverse=True)
        return found[:limit] if limit > 0 else found

    def _passes(self, record: Container) -> bool:
        state, filters = record.state, self._filters
        created = times.parsed(record.created)
        return (
            (not self._statuses or state.status in self._statuses)
            and (not self._exit_codes or self._has_exited(record))
            and (not self._healths or _health_of(record) in self._healths)
            and (self._images is None or record.image_id in self._images)
            and (self._before is None or created < self._before)
            and (self._since is None or created > self._since)
            and _any(filters, "id", record.id.startswith)
            and self._has_name(record)
            and terms.has_labels(filters, record.config.labels)
            and _any(filters, "network", lambda value: _is_in_network(record, value))
            and _any(filters, "volume", lambda value: _has_volume(record, value))
            and _share_ports(self._published, record.host_config.port_bindings)
            and _share_ports(self._exposed, record.config.exposed_ports)
            and _any(filters, "is-task", lambda value: value in ("false", "0"))
        )

    def _has_exited(self, record: Container) -> bool:
        return (
            record.has_been_started
            and not record.running
            and record.state.exit_code in self._exit_codes
        )

    def _has_name(self, record: Container) -> bool:
        return not self._names or any(
            name.search(record.name) or name.search("/" + record.name) for name in self._names
        )

    def _ancestors(self, ancestors: Callable[[str], set[str]]) -> set[str] | None:
        wanted = self._filters.get("ancestor", ())
        if not wanted:
            return None
        found: set[str] = set()
        for ref in wanted:
            try:
                found |= ancestors(ref)
            except LadingError:
                # An image that is not there has no containers, which is no failure in Docker.
                continue
        return found

    def _moment(self, registry: Registry, term: str) -> int | None:
        refs: Sequence[str] = self._filters.get(term, ())
        if not refs:
            return None
        try:
            record = registry.find(refs[0]).record
        except NotFound:
            raise NotFound(f"No such container: {refs[0]}") from None
        return times.parsed(record.created)


def _any(filters: Filters, term: str, matches: Callable[[str], bool]) -> bool:
    values = filters.get(term, ())
    return not values or any(matches(value) for value in values)


def _status(value: str) -> Status:
    try:
        return Status(value)
    except ValueError:
        raise InvalidParameter(
            f"invalid filter 'status={value}': invalid value for state ({value}): must be one of "
            + ", ".join(Status)
        ) from None


def _health(value: str) -> HealthStatus:
    try:
        return HealthStatus(value)
    except ValueError:
        raise InvalidParameter(
            f"invalid filter 'health={value}': invalid value for health ({value}): must be one of "
            + ", ".join(HealthStatus)
        ) from None


def _pattern(value: str) -> re.Pattern[str]:
    """Compile a name filter, which is a regular expression as in Docker."""
    try:
        return re.compile(value)
    except re.error:
        raise InvalidParameter(f"invalid filter 'name={value}'") from None


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InvalidParameter(f"invalid filter 'exited={value}': not a number") from None


def _health_of(record: Container) -> HealthStatus:
    health = record.state.health
    return health.status if health is not None else HealthStatus.NONE


def _is_in_network(record: Container, wanted: str) -> bool:
    return any(
        wanted == name or (settings.network_id and settings.network_id.startswith(wanted))
        for name, settings in record.network_settings.networks.items()
    )


def _has_volume(record: Container, wanted: str) -> bool:
    return any(
        wanted in (mount.point.name, mount.point.source, mount.point.destination)
        for mount in record.mounts
    )


def _ports(value: str) -> set[str]:
    """Read `80`, `80/udp` or a range `8000-8010/tcp` as ports."""
    span, _, protocol = value.partition("/")
    return {f"{number}/{protocol or 'tcp'}" for number in parse_host_ports(span)}


def _share_ports(wanted: list[set[str]], ports: Mapping[str, object] | None) -> bool:
    """Tell whether one of the wanted ports is there, if any is wanted."""
    own = set(ports or {})
    return not wanted or any(each & own for each in wanted)
