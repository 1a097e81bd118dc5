"""The OCI model: round trips, tolerance, and errors that name the field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidParameter
from lading.oci import defaults, spec

EXAMPLE = {
    "ociVersion": "1.2.0",
    "process": {
        "terminal": True,
        "consoleSize": {"height": 25, "width": 80},
        "user": {"uid": 1, "gid": 2, "umask": 63, "additionalGids": [5, 6]},
        "args": ["sh"],
        "env": ["A=b"],
        "cwd": "/",
        "capabilities": {"bounding": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 18446744073709551615}],
        "noNewPrivileges": True,
        "apparmorProfile": "p",
        "oomScoreAdj": -100,
        "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4},
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "h",
    "domainname": "d",
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro"]}],
    "hooks": {"createRuntime": [{"path": "/bin/true", "timeout": 3}]},
    "annotations": {"a": "b"},
    "linux": {
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        "sysctl": {"net.core.somaxconn": "256"},
        "cgroupsPath": "/x",
        "namespaces": [{"type": "network", "path": "/proc/1/ns/net"}, {"type": "pid"}],
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}],
        "resources": {
            "devices": [{"allow": False, "access": "rwm"}],
            "memory": {"limit": 5, "swap": -1, "disableOOMKiller": True, "kernelTCP": 7},
            "cpu": {"shares": 2, "quota": -1, "cpus": "0-1", "idle": 1},
            "pids": {"limit": 7},
            "blockIO": {
                "weight": 10,
                "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 600}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 1, "rate": 600}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
            "unified": {"memory.high": "max"},
        },
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {
                    "names": ["clone"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [
                        {"index": 1, "value": 2114060288, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}
                    ],
                }
            ],
        },
        "rootfsPropagation": "slave",
        "maskedPaths": ["/proc/keys"],
        "readonlyPaths": ["/proc/sys"],
        "intelRdt": {"closID": "c", "l3CacheSchema": "s"},
        "personality": {"domain": "LINUX32"},
        "timeOffsets": {"monotonic": {"secs": 3, "nanosecs": 5}},
    },
}


def test_everything_survives_a_round_trip() -> None:
    decoded = spec.decode(json.dumps(EXAMPLE))
    assert json.loads(spec.encode(decoded)) == EXAMPLE


def test_unknown_fields_are_ignored() -> None:
    text = json.dumps({"ociVersion": "1.9", "news": 3, "linux": {"other": {"a": 1}}})
    assert spec.decode(text).oci_version == "1.9"


def test_default_spec_decodes_to_itself() -> None:
    first = defaults.spec()
    assert spec.decode(spec.encode(first)) == first


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ociVersion": 1}, "conf: ociVersion: expected str, got int"),
        ({"process": {"cwd": "/", "user": {"uid": -1}}}, "conf: process.user.uid: expected int"),
        ({"process": {}}, "conf: process: object missing required field cwd"),
        ({"mounts": [{"destination": "/"}, {}]}, "conf: mounts[1]: object missing required field"),
        (
            {"linux": {"resources": {"memory": {"limit": "5"}}}},
            "conf: linux.resources.memory.limit",
        ),
        ({"process": {"cwd": "/", "oomScoreAdj": 2000}}, "conf: process.oomScoreAdj"),
    ],
)
def test_errors_name_the_field(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        spec.decode(json.dumps({"ociVersion": "1.0.0"} | change), "conf")
    assert str(raised.value).startswith(complaint)


def test_what_is_no_json_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InvalidParameter, match=r"config\.json is not valid JSON"):
        spec.load(tmp_path)


def test_a_bundle_without_config_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"config\.json: No such file"):
        spec.load(tmp_path)


@given(st.binary(max_size=200))
def test_any_bytes_either_decode_or_are_refused(data: bytes) -> None:
    try:
        spec.decode(data)
    except InvalidParameter as error:
        assert "\n" not in str(error)  # noqa: PT017
