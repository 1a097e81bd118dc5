from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lab.cells import cells
from lab.kernels.check import as_json, as_table, check, usable
from lab.kernels.config import NoConfig, read
from lab.kernels.options import OPTIONS, Need
from lab.kernels.probe import PROBES
from lab.kernels.proof import Proof, lines

REQUIRED = [option.symbols[0] for option in OPTIONS if option.need is Need.REQUIRED]


def config_file(tmp_path: Path, symbols: list[str], version: str = "6.12.0") -> Path:
    lines = [f"# Linux/x86 {version} Kernel Configuration", "# CONFIG_FOO is not set"]
    path = tmp_path / "config"
    path.write_text("\n".join(lines + [f"CONFIG_{symbol}=y" for symbol in symbols]))
    return path


def test_a_kernel_with_all_that_is_required_is_usable(tmp_path: Path) -> None:
    findings = check(read(config_file(tmp_path, REQUIRED)))
    assert usable(findings)
    assert any(not finding.fine for finding in findings)


@pytest.mark.parametrize("missing", REQUIRED)
def test_without_a_required_option_it_is_not(tmp_path: Path, missing: str) -> None:
    config = read(config_file(tmp_path, [one for one in REQUIRED if one != missing]))
    assert not usable(check(config))
    assert "can NOT run containers" in list(as_table(config, check(config)))[-1]


def test_options_are_asked_only_of_kernels_that_have_them(tmp_path: Path) -> None:
    old = {finding.title for finding in check(read(config_file(tmp_path, REQUIRED, "5.10.0")))}
    new = {finding.title for finding in check(read(config_file(tmp_path, REQUIRED, "6.12.3")))}
    assert "memory limits under cgroup v1" in new - old
    assert "swap limits" in old - new


def test_any_of_several_symbols_will_do(tmp_path: Path) -> None:
    config = read(config_file(tmp_path, [*REQUIRED, "CGROUP_BPF"]))
    devices = next(one for one in check(config) if one.title == "device rules")
    assert devices.state == "built in"


def test_a_compressed_configuration_reads_the_same(tmp_path: Path) -> None:
    plain = config_file(tmp_path, REQUIRED)
    packed = tmp_path / "config.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(packed).symbols == read(plain).symbols


def test_the_json_says_what_the_table_says(tmp_path: Path) -> None:
    config = read(config_file(tmp_path, REQUIRED))
    findings = check(config)
    document = json.loads(as_json(config, findings))
    assert document["usable"] is True
    assert [one["title"] for one in document["findings"]] == [one.title for one in findings]
    table = "\n".join(as_table(config, findings))
    assert all(finding.title in table for finding in findings)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8bnot gzip", b"\xff\xfe"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(NoConfig, match=str(path)):
        read(path)


def test_everything_that_is_said_can_be_tried() -> None:
    assert sorted(PROBES) == sorted(option.title for option in OPTIONS)


def test_what_does_not_work_as_said_is_told() -> None:
    proofs = [Proof("a", True, True), Proof("b", True, False), Proof("c", False, None)]
    assert lines(cells()["v1"], proofs) == [
        "v1: 1 of 2 options are as the check says",
        "  b: there by the configuration, and does not work",
    ]
