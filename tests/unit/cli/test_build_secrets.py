"""What `build --secret` and `--ssh` hand over, and to whom."""

from __future__ import annotations

import io
import socket
import tarfile
from pathlib import Path

import pytest

from lading.cli.buildcontext import BuildContext
from lading.cli.buildsecrets import (
    add_secrets,
    agents,
    parse_agent,
    parse_secret,
    takes_secrets,
)
from lading.cli.failures import CliError


def _archive(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id=a", ("a", "", "")),
        ("id=a,src=/x", ("a", "/x", "")),
        ("source=/x,id=a,type=file", ("a", "/x", "")),
        ("id=a,env=B", ("a", "", "B")),
        ("id=a,type=env", ("a", "", "a")),
    ],
)
def test_secrets_are_read(text: str, expected: tuple[str, str, str]) -> None:
    assert parse_secret(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "src=x", "id=../x", "id=a//b", "id=a,x=y", "id=a,type=z"]
)
def test_secrets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"id|type"):
        parse_secret(text)


def test_secrets_go_in_front_of_the_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"from file")
    monkeypatch.setenv("LADING_TEST_SECRET", "from env")
    given = [("a", str(tmp_path / "file"), ""), ("b/c", "", "LADING_TEST_SECRET")]
    whole = _archive("Dockerfile")
    for source in (BuildContext(iter([whole[:300], whole[300:]])), BuildContext(None, remote="u")):
        alone = source.stream is None
        headers = add_secrets(source, given)
        token = headers["X-Lading-Secrets"]
        assert source.stream is not None
        with tarfile.open(fileobj=io.BytesIO(b"".join(source.stream))) as archive:
            names = archive.getnames()
            file = archive.extractfile(f".lading-{token}/b/c")
            assert file is not None
            assert file.read() == b"from env"
        assert names == [
            f".lading-{token}/a", f".lading-{token}/b/c", *([] if alone else ["Dockerfile"]),
        ]  # fmt: skip
    assert add_secrets(BuildContext(None), []) == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("a", "/nonexistent", ""), "cannot read /nonexistent"),
        (("a", "", "LADING_TEST_UNSET"), "no variable LADING_TEST_UNSET"),
    ],
)
def test_secrets_that_cannot_be_read(given: tuple[str, str, str], told: str) -> None:
    with pytest.raises(CliError, match=told):
        add_secrets(BuildContext(None), [given])


def test_a_compressed_context_takes_none(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    source = BuildContext(iter([b"\x1f\x8b\x08"]))
    add_secrets(source, [("a", str(tmp_path / "s"), "")])
    assert source.stream is not None
    with pytest.raises(CliError, match="compressed"):
        next(source.stream)


def test_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        headers = agents([parse_agent("default"), parse_agent(f"k={place}")], local=True)
    assert str(place) in headers["X-Lading-Ssh"]
    assert agents([], local=False) == {}
    for given, local, told in (
        (("default", ""), False, "on this host"),
        (("k", "/nonexistent"), True, "no such file"),
        (("k", str(tmp_path)), True, "no agent's socket"),
    ):
        with pytest.raises(CliError, match=told):
            agents([given], local=local)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(CliError, match="SSH_AUTH_SOCK is not set"):
        agents([("default", "")], local=True)


def test_only_lading_is_given_secrets() -> None:
    assert takes_secrets({"Platform": {"Name": "Lading"}})
    assert not takes_secrets({"Platform": {"Name": "Docker Engine - Community"}})
    assert not takes_secrets({})
