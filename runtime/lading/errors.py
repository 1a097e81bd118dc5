"""What can go wrong, as a user sees it.

Every failure that is somebody's to mend reaches the API as one of these; anything else is a bug
of ours.

    LadingError                 500  (an operation failed for a reason that the message names)
    ├── NotModified             304  the container is already in the asked state
    ├── InvalidParameter        400  the request says something that cannot be done
    ├── Unauthorized            401  a registry wants other credentials
    ├── Forbidden               403  the operation is never allowed on this object
    ├── NotFound                404  no such container, image, volume, network, exec
    ├── Conflict                409  the object's state, or another object, is in the way
    ├── NotImplementedYet       501  a Docker operation that Lading does not have
    └── Unavailable             503  the daemon lacks what the operation needs (swarm, a controller)
"""

from __future__ import annotations


class LadingError(Exception):
    """An operation failed; `status` is the HTTP status that Docker's API answers in its place."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotModified(LadingError):
    """Nothing had to be done: the container is already started or stopped."""

    status = 304


class InvalidParameter(LadingError):
    """The request asks for something malformed, out of range or contradictory."""

    status = 400


class Unauthorized(LadingError):
    """A registry refused the credentials, or asks for some."""

    status = 401


class Forbidden(LadingError):
    """The operation is not allowed on this object, whatever its state."""

    status = 403


class NotFound(LadingError):
    """The named object does not exist."""

    status = 404


class Conflict(LadingError):
    """The object's state, or another object that uses it, is in the way."""

    status = 409


class NotImplementedYet(LadingError):
    """A Docker operation or option that Lading does not implement."""

    status = 501


class Unavailable(LadingError):
    """The daemon lacks what the operation needs."""

    status = 503
