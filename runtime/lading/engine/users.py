"""Who a container's process runs as: `user:group` looked up in the container's own files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HIGHEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """A process's user: ids, the additional groups, and the home directory for HOME."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Accounts:
    """A container's /etc/passwd and /etc/group, parsed; lines that make no sense are skipped."""

    users: tuple[_User, ...] = ()
    groups: tuple[_Group, ...] = field(default=())

    @classmethod
    def parse(cls, passwd: str, group: str) -> Accounts:
        """Read the two files (passwd(5), group(5)); either may be empty."""
        return cls(tuple(_users(passwd)), tuple(_groups(group)))

    def resolve(self, spec: str, additional: Sequence[str] = ()) -> Identity:
        """Look up `user[:group]`, each a name or a number, and the groups of `--group-add`.

        A number need not be listed. Raises InvalidParameter in Docker's words for an unknown name.
        """
        user_part, _, group_part = spec.partition(":")
        user = self._user(user_part)
        if group_part:
            gid, groups = self._gid(group_part), set[int]()
        else:
            gid = user.gid
            groups = {g.gid for g in self.groups if user.name and user.name in g.members}
        for name in additional:
            groups.add(self._gid(name))
        return Identity(user.uid, gid, tuple(sorted(groups)), user.home or "/")

    def _user(self, wanted: str) -> _User:
        """Find a user; digits are always a user id, and nothing is user id 0."""
        number = _id_of(wanted) if wanted else 0
        for user in self.users:
            if user.name == wanted if number is None else user.uid == number:
                return user
        if number is None:
            raise InvalidParameter(
                f"unable to find user {wanted}: no matching entries in passwd file"
            )
        return _User("", number, 0, "/")

    def _gid(self, wanted: str) -> int:
        """Find a group; digits are always a group id."""
        number = _id_of(wanted)
        if number is not None:
            return number
        for group in self.groups:
            if group.name == wanted:
                return group.gid
        raise InvalidParameter(f"unable to find group {wanted}: no matching entries in group file")


def _id_of(text: str) -> int | None:
    """Read a user or group id; None for a name, InvalidParameter for a number out of range."""
    try:
        number = int(text)
    except ValueError:
        return None
    if not 0 <= number <= _HIGHEST_ID:
        raise InvalidParameter(f"uids and gids must be in range 0-{_HIGHEST_ID}")
    return number


def _users(text: str) -> Iterator[_User]:
    for line in text.splitlines():
        parts = line.strip().split(":")
        if len(parts) >= 4 and parts[2].isdecimal() and parts[3].isdecimal():
            home = parts[5] if len(parts) > 5 else ""
            yield _User(parts[0], int(parts[2]), int(parts[3]), home)


def _groups(text: str) -> Iterator[_Group]:
    for line in text.splitlines():
        parts = line.strip().split(":")
        if len(parts) >= 3 and parts[2].isdecimal():
            members = parts[3].split(",") if len(parts) > 3 else []
            yield _Group(parts[0], int(parts[2]), frozenset(filter(None, members)))
