from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidParameter
from lading.image.model import (
    Config,
    Healthcheck,
    History,
    ImageFile,
    Index,
    Manifest,
    RootFs,
    SavedImage,
    chain_ids,
    decode,
    decode_image,
    encode_image,
)

from .makers import digest


def read(**members: Any) -> ImageFile:
    return decode_image(json.dumps(members).encode())


def test_an_image_is_written_as_docker_writes_it() -> None:
    file = ImageFile(
        architecture="amd64",
        os="linux",
        comment="Imported from -",
        config=Config(
            cmd=["a", "b"], env=["X=1"], exposed_ports={"80/tcp": {}}, volumes={"/v": {}}
        ),
        container_config=Config(),
        created="2026-11-24T11:46:14Z",
        docker_version="1",
        history=[History(created="2026-11-24T11:46:14Z", comment="Imported from -")],
        rootfs=RootFs(diff_ids=[digest(b"")]),
    )
    written = encode_image(file)
    expected = (
        '{"architecture":"amd64","comment":"Imported from -","config":{"Hostname":"",'
        '"Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,'
        '"ExposedPorts":{"80/tcp":{}},"Tty":false,"OpenStdin":false,"StdinOnce":false,'
        '"Env":["X=1"],"Cmd":["a","b"],"Image":"","Volumes":{"/v":{}},"WorkingDir":"",'
        '"Entrypoint":null,"OnBuild":null,"Labels":null},"container_config":{"Hostname":"",'
        '"Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,'
        '"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"",'
        '"Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null},'
        '"created":"2026-11-24T11:46:14Z","docker_version":"1","history":[{"created":'
        '"2026-11-24T11:46:14Z","comment":"Imported from -"}],"os":"linux","rootfs":{"type":'
        '"layers","diff_ids":["' + digest(b"") + '"]}}'
    )
    assert written.decode() == expected
    assert decode_image(written) == file


def test_a_config_with_everything() -> None:
    health = {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Retries": 3}
    file = read(
        architecture="arm64",
        variant="v8",
        os="linux",
        config={"Healthcheck": health, "StopSignal": "SIGQUIT", "Shell": ["/bin/bash", "-c"]},
        rootfs={"type": "layers", "diff_ids": []},
        unknown={"x": 1},
    )
    assert file.variant == "v8"
    assert file.config is not None
    assert file.config.healthcheck == Healthcheck(
        test=["CMD", "true"], interval=5_000_000_000, retries=3
    )
    assert (file.config.stop_signal, file.config.shell) == ("SIGQUIT", ["/bin/bash", "-c"])


def test_what_docker_reads_leniently() -> None:
    file = read(
        author=None,
        config={"Cmd": "true", "Entrypoint": None, "Volumes": {"/v": None}, "User": None},
        history=None,
        rootfs={"type": "layers", "diff_ids": [digest(b"1")]},
    )
    assert file.config is not None
    assert (file.config.cmd, file.config.volumes) == (["true"], {"/v": {}})
    assert file.diff_ids == (digest(b"1"),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b'{"config": 3}',
        b'{"rootfs": {"diff_ids": ["sha256:../x"]}}',
        b"\xff",
    ],
)
def test_what_is_no_config(data: bytes) -> None:
    with pytest.raises(InvalidParameter, match="invalid image config"):
        decode_image(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = ["config", "rootfs", "history", "created", "architecture", "author", "container_config"]


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_any_json_is_a_config_or_refused(members: dict[str, Any]) -> None:
    try:
        file = decode_image(json.dumps(members).encode())
    except InvalidParameter as error:
        assert error.message.startswith("invalid image config: ")  # noqa: PT017
        return
    assert decode_image(encode_image(file)).diff_ids == file.diff_ids


@given(JSON, st.sampled_from([Manifest, Index, list[SavedImage]]))
def test_any_json_is_a_manifest_or_refused(content: Any, kind: type[Any]) -> None:
    try:
        decode(json.dumps(content).encode(), kind, "manifest")
    except InvalidParameter as error:
        assert error.message.startswith("invalid manifest: ")  # noqa: PT017


@pytest.mark.parametrize("nested", [b"[" * 500_000, b'{"config":' * 500_000, b'{"x":' * 500_000])
def test_deep_nesting_is_refused(nested: bytes) -> None:
    with pytest.raises(InvalidParameter, match="invalid image config"):
        decode_image(nested)
    with pytest.raises(InvalidParameter, match="invalid index"):
        decode(nested, Index, "index")


def test_chain_ids() -> None:
    one, two = digest(b"1"), digest(b"2")
    assert chain_ids(()) == []
    assert chain_ids((one, two)) == [one, digest(f"{one} {two}".encode())]
