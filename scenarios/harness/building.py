"""Builds as a client asks for them: a context made in memory, and what the engine answered.

The context is sent as it is (`POST /build`), so that the engine under test sees exactly the
names, modes, owners and times that a scenario says.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import docker
import requests

from scenarios.harness.subject import BUSYBOX, Subject

MTIME = 1_600_000_000
"""When everything in a context was last changed, in seconds since 1970."""

_COLOUR = re.compile(r"\x1b\[\d+m")
_STEP = re.compile(r"^Step \d+/\d+ : (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a context's tar archive: a file unless `kind` says otherwise."""

    data: bytes = b""
    mode: int = 0o644
    mtime: int = MTIME
    uid: int = 0
    gid: int = 0
    kind: bytes = tarfile.REGTYPE
    target: str = ""


Query: TypeAlias = Mapping[str, str]
Files: TypeAlias = Mapping[str, "str | bytes | Entry"]


def directory(mode: int = 0o755) -> Entry:
    """A directory with nothing in it."""
    return Entry(mode=mode, kind=tarfile.DIRTYPE)


def symlink(target: str) -> Entry:
    """A symbolic link."""
    return Entry(mode=0o777, kind=tarfile.SYMTYPE, target=target)


def pack(files: Files, compression: str = "") -> bytes:
    """A tar archive of the files and of the directories they are in; `compression` as tarfile."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, entry in _with_directories(files).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(entry.data), entry.mode, entry.mtime
            info.uid, info.gid, info.type, info.linkname = (
                entry.uid, entry.gid, entry.kind, entry.target,
            )  # fmt: skip
            archive.addfile(info, io.BytesIO(entry.data))
    return buffer.getvalue()


def _with_directories(files: Files) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for name, content in files.items():
        for parent in reversed(PurePosixPath(name).parents):
            if str(parent) not in (".", "/"):
                found.setdefault(str(parent), directory())
        data = content.encode() if isinstance(content, str) else content
        found[name] = data if isinstance(data, Entry) else Entry(data)
    return found


@dataclass(frozen=True, slots=True)
class Build:
    """What the engine answered to a build.

    `status` is the answer's; `image` the ID that was built ("" when it failed); `text` the
    `stream` messages put together, without colours; `error` the failure's message.
    """

    status: int
    image: str = ""
    text: str = ""
    error: str = ""
    code: int | None = None
    messages: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The output's lines.

        Those that tell of a step's container are left out: whether an instruction that changes
        nothing but the settings has one is the engine's own business.
        """
        container = (" ---> Running in ", " ---> Removed intermediate container ")
        return [line for line in self.text.splitlines() if not line.startswith(container)]

    @property
    def rebuilt(self) -> list[str]:
        """The steps that did not come out of the cache, as they are written; `FROM` aside."""
        parts = _STEP.split(self.text)[1:]
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return [
            step
            for step, output in pairs
            if "Using cache" not in output and not step.startswith("FROM")
        ]

    def printed(self) -> list[str]:
        """What the commands of `RUN` wrote: the lines that are not the builder's own."""
        own = ("Step ", " ---> ", "Successfully ", "Removing ", "[Warning]")
        return [line for line in self.lines if line and not line.startswith(own)]


class Builder:
    """Builds on one engine."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def build(self, dockerfile: str, files: Files | None = None, /, **options: Any) -> Build:
        """Build what must succeed, without a network; `options` are those of docker-py."""
        built = self.attempt(dockerfile, files, **options)
        assert built.image, f"{built.status}: {built.error}\n{built.text}"
        return built

    def fail(self, dockerfile: str, files: Files | None = None, /, **options: Any) -> Build:
        """Build what must fail."""
        built = self.attempt(dockerfile, files, **options)
        assert built.error, f"it was built: {built.text}"
        return built

    def attempt(self, dockerfile: str, files: Files | None = None, /, **options: Any) -> Build:
        """Build, whatever comes of it."""
        compression = options.pop("encoding", "") or ""
        context = pack({"Dockerfile": dockerfile, **(files or {})}, compression[:2])
        settings: dict[str, Any] = {"rm": True, "network_mode": "none", **options}
        if compression:
            settings["encoding"] = compression
        try:
            answer = self.subject.client.api.build(
                fileobj=io.BytesIO(context), custom_context=True, decode=True, **settings
            )
            return _built(list(answer))
        except docker.errors.APIError as error:
            return Build(error.response.status_code, error=str(error.explanation))

    def inspect(self, built: Build) -> dict[str, Any]:
        """`GET /images/{id}/json`."""
        found: dict[str, Any] = self.subject.client.api.inspect_image(built.image)
        return found

    def config(self, dockerfile: str, files: Files | None = None, **options: Any) -> dict[str, Any]:
        """The configuration of the image that is built."""
        config: dict[str, Any] = self.inspect(self.build(dockerfile, files, **options))["Config"]
        return config

    def history(self, built: Build) -> list[dict[str, Any]]:
        """`GET /images/{id}/history` without times and without the base image's."""
        entries = self.subject.client.api.history(built.image)
        return [
            {key: value for key, value in entry.items() if key not in ("Created", "Id", "Tags")}
            for entry in entries
            if not entry["CreatedBy"].startswith("lading lab")
        ]

    def run(self, built: Build, *command: str, **options: Any) -> str:
        """Run a command in what was built and give its output."""
        return self.subject.run(*command, image=built.image, **options)

    def shell(self, built: Build, script: str, **options: Any) -> list[str]:
        """Run a script in what was built and give its output's lines."""
        return self.run(built, "sh", "-c", script, **options).splitlines()

    def layers(self, image: str) -> list[list[tarfile.TarInfo]]:
        """The members of the layers that an image has above busybox, by `save`."""
        archive, manifest = self._saved(image)
        below = len(self.subject.client.images.get(BUSYBOX).attrs["RootFS"]["Layers"])
        with archive:
            found = []
            for name in manifest["Layers"][below:]:
                with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                    found.append(layer.getmembers())
        return found

    def saved_config(self, image: str) -> dict[str, Any]:
        """The image's configuration as `save` writes it."""
        archive, manifest = self._saved(image)
        with archive:
            member = archive.extractfile(manifest["Config"])
            assert member is not None
            document: dict[str, Any] = json.loads(member.read())
        return document

    def _saved(self, image: str) -> tuple[tarfile.TarFile, dict[str, Any]]:
        data = b"".join(self.subject.client.images.get(image).save())
        archive = tarfile.TarFile(fileobj=io.BytesIO(data))
        member = archive.extractfile("manifest.json")
        assert member is not None
        (manifest,) = json.loads(member.read())
        return archive, manifest


def post(
    subject: Subject,
    dockerfile: str,
    query: Query | None = None,
    headers: Query | None = None,
    files: Files | None = None,
) -> requests.Response:
    """Build by the API itself: docker-py does not know all parameters. Without a network."""
    api = subject.client.api
    response: requests.Response = api.post(
        f"{api.base_url}/v{api.api_version}/build",
        params={"networkmode": "none", **(query or {})},
        data=pack({"Dockerfile": dockerfile, **(files or {})}),
        headers={"Content-Type": "application/x-tar", **(headers or {})},
    )
    return response


def messages(response: requests.Response) -> list[dict[str, Any]]:
    """The objects of an answer, which may be a single error."""
    return [json.loads(line) for line in response.text.splitlines()]


def error_of(response: requests.Response) -> str:
    """What went wrong, "" for nothing."""
    last = messages(response)[-1]
    return str(last.get("error") or last.get("message") or "")


def names(layer: Sequence[tarfile.TarInfo]) -> list[str]:
    """A layer's members by name, directories with a slash behind."""
    return sorted(f"{one.name.rstrip('/')}{'/' if one.isdir() else ''}" for one in layer)


def _built(messages: list[dict[str, Any]]) -> Build:
    text = _COLOUR.sub("", "".join(one.get("stream", "") for one in messages))
    found = [one["aux"]["ID"] for one in messages if "ID" in (one.get("aux") or {})]
    errors = [one for one in messages if "error" in one]
    detail = errors[0].get("errorDetail", {}) if errors else {}
    return Build(
        status=200,
        image=found[-1] if found and not errors else "",
        text=text,
        error=errors[0]["error"] if errors else "",
        code=detail.get("code"),
        messages=messages,
    )
