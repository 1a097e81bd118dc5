"""The body of a create request beside what Docker's own command line sent (data/bodies.json)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import DATA, FakeDaemon, Result

RECORDED = json.loads((DATA / "bodies.json").read_text())
FILES = {
    "e1": b"A=1\r\n#x\n  B = 2\n",
    "e2": b"A=1 \n\nHOME\nNOPE\n =x\n",
    "e3": b'\xef\xbb\xbfA=1\n  C="q # x"\nD=\xff',
    "e4": b'\xef\xbb\xbfA=1\r\n  C="q # x"\nD=\nHOME\nNOPE\nE',
    "answers0.json": (DATA / "policy.json").read_bytes(),
}


def prune(value: Any) -> Any:
    """Leave out what has no value: that is the same to the daemon."""
    if isinstance(value, dict):
        pruned = {key: prune(inner) for key, inner in value.items()}
        return {k: v for k, v in pruned.items() if v not in (None, "", 0, False, [], {})}
    if isinstance(value, list):
        return [prune(inner) for inner in value]
    return value


@pytest.mark.parametrize("case", RECORDED, ids=[case["line"][:60] for case in RECORDED])
def test_as_docker(
    case: dict[str, Any],
    daemon: FakeDaemon,
    lading: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stdin: Callable[[bytes], None],
) -> None:
    stdin(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.delenv("NOPE", raising=False)
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    case = json.loads(json.dumps(case).replace("@DIR@", str(tmp_path)))
    result = lading(*shlex.split(case["line"]))
    sent = daemon.of("POST", "/containers/create")
    if "error" in case:
        assert not sent
        first = result.err.splitlines()[0].removeprefix("lading: ")
        assert (first, result.status) == (case["error"], case["status"])
        return
    body = sent[0].json
    swappiness = body["HostConfig"].pop("MemorySwappiness", None)
    if swappiness is not None:
        body["HostConfig"]["MemorySwappiness"] = f"sw{swappiness}"
    assert prune(body) == case["body"]
    assert sent[0].query == case["query"]
