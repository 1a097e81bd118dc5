"""Containers under a shim: output, exit status, signals, the log, what is left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from lading.shim.client import StepFailed
from lading.shim.protocol import ExitStatus, LogConfig
from .conftest import Yard, streams_of

pytestmark = pytest.mark.root


async def test_output_of_both_streams_is_multiplexed_and_logged(yard: Yard) -> None:
    code, output = await yard.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert code == 3
    assert streams_of(output) == {1: b"out\n", 2: b"err\n"}
    assert {(entry.stream, entry.log) for entry in await yard.log()} == {
        ("stdout", "out\n"),
        ("stderr", "err\n"),
    }
