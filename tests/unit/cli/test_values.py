from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli.kinds import parse_cpus, parse_filter, parse_int, parse_uint16
from lading.cli.moments import days_from_epoch, parse_rfc3339, timestamp
from lading.cli.options import checks, csvline, ports
from lading.cli.options.files import IdFile, read_variables
from lading.cli.options.gpus import parse_gpus
from lading.cli.options.ipam import pools
from lading.cli.options.mounts import parse_mount, split_volumes
from lading.cli.options.networks import parse_network
from lading.cli.options.security import capabilities, devices
from lading.cli.units import (
    SECOND,
    binary_size,
    human_duration,
    human_size,
    parse_duration,
    parse_size,
)


def refused(do: Callable[[], object], *beginnings: str) -> bool:
    """Tell whether a value is refused, in words that begin in one of these ways."""
    try:
        do()
    except ValueError as error:
        if not str(error).startswith(beginnings):
            raise
        return True
    return False


@given(st.integers(0, 2**50))
def test_sizes(size: int) -> None:
    assert parse_size(str(size)) == size
    for power, unit in enumerate(("b", "k", "m", "g", "t")):
        for spelling in (unit, unit.upper(), f" {unit}"):
            assert parse_size(f"{size}{spelling}") == size * 1024**power
    assert parse_size(f"{size}KiB") == parse_size(f"{size}kb") == size * 1024


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("x", "invalid size: 'x'"),
        ("-5", "invalid size: '-5'"),
        ("1.2.3", "invalid size: '1.2.3'"),
        ("1x", "invalid suffix: 'x'"),
        ("1kk", "invalid suffix: 'kk'"),
        ("1ib", "invalid suffix: 'ib'"),
    ],
)
def test_wrong_sizes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_size(text)
    assert str(caught.value) == message


@given(st.text(max_size=10))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    assert (
        refused(lambda: parse_size(text), "invalid size", "invalid suffix") or parse_size(text) >= 0
    )


@given(st.integers(0, 10**5), st.integers(0, 59), st.integers(0, 10**9 - 1))
def test_durations(hours: int, seconds: int, part: int) -> None:
    whole = (hours * 3600 + seconds) * SECOND
    assert parse_duration(f"{hours}h{seconds}.{part:09d}s") == whole + part
    assert parse_duration(f"-{hours}h{seconds}s") == -whole
    assert parse_duration(f"{hours}h{seconds}s{part}ns") == whole + part
    assert parse_duration(f"{part}us") == part * 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("", 'time: invalid duration ""'),
        ("s", 'time: invalid duration "s"'),
    ],
)
def test_wrong_durations(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text)
    assert str(caught.value) == message


def test_sizes_and_ages_for_people() -> None:
    assert [human_size(n) for n in (0, 999, 12345, 1_999_999)] == ["0B", "999B", "12.3kB", "2MB"]
    assert human_size(1_984_257, 4) == "1.984MB"
    assert binary_size(650 * 1024) == "650KiB"
    ages = {0: "Less than a second", 1: "1 second", 59: "59 seconds", 60: "About a minute"}
    ages.update({3599: "59 minutes", 3600: "About an hour", 7200: "2 hours", 86400: "24 hours"})
    ages.update({86400 * 3: "3 days", 86400 * 20: "2 weeks", 86400 * 80: "2 months"})
    ages[86400 * 800] = "2 years"
    assert {seconds: human_duration(seconds) for seconds in ages} == ages


@given(st.dates())
def test_days(date: object) -> None:
    import datetime

    assert isinstance(date, datetime.date)
    epoch = datetime.date(1970, 1, 1)
    assert days_from_epoch(date.year, date.month, date.day) == (date - epoch).days


@given(st.datetimes(), st.integers(-12, 12))
def test_times_with_a_zone(when: object, hours: int) -> None:
    import datetime

    assert isinstance(when, datetime.datetime)
    zone = datetime.timezone(datetime.timedelta(hours=hours))
    aware = when.replace(tzinfo=zone)
    whole = aware.replace(microsecond=0) - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds = whole.days * 86400 + whole.seconds
    text = aware.isoformat().replace("+00:00", "Z")
    assert parse_rfc3339(text) == seconds * SECOND + when.microsecond * 1000


def test_what_since_takes() -> None:
    assert timestamp("10m", 1000.0) == "400"
    assert timestamp("0", 1000.0) == "0"
    assert timestamp("123.5", 1000.0) == "123.5"
    assert timestamp("2024-01-02T00:00:00.5Z", 0) == "1704153600.500000000"
    for wrong in ("foo", "2024-13-01", "1h2", "12:30"):
        with pytest.raises(ValueError, match="failed to parse value as time or duration"):
            timestamp(wrong, 0)


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers(value: int) -> None:
    assert parse_int(str(value)) == value
    assert parse_int(hex(value)) == value


def test_whole_numbers_that_are_none() -> None:
    assert parse_int("010") == 8
    for wrong in ("", "x", " 1", "1.5", "08", str(2**63)):
        with pytest.raises(ValueError, match=r"strconv\.ParseInt: parsing"):
            parse_int(wrong)
    with pytest.raises(ValueError, match="value out of range"):
        parse_uint16("65536")


@given(st.integers(0, 10**13))
def test_cpus_are_exact(nano: int) -> None:
    assert parse_cpus(f"{nano // 10**9}.{nano % 10**9:09d}") == nano
    assert parse_cpus(f"{nano}e-9") == nano
    assert parse_cpus("3/2") == 1_500_000_000
    with pytest.raises(ValueError, match="too precise"):
        parse_cpus("1/3")


def test_filters() -> None:
    assert parse_filter("Status=A ") == "status=A"
    with pytest.raises(ValueError, match="expected name=value"):
        parse_filter("status")


@given(st.lists(st.text(alphabet='ab,"=; ', min_size=1), min_size=1))
def test_csv_reads_what_was_quoted(values: list[str]) -> None:
    line = ",".join('"' + value.replace('"', '""') + '"' for value in values)
    assert csvline.fields(line) == values


@given(st.text(alphabet='ab,"', min_size=1))
def test_any_csv_is_read_or_refused(line: str) -> None:
    assert refused(lambda: csvline.fields(line), "parse error") or csvline.fields(line)


PORT = st.integers(1, 65535)


@given(PORT, PORT, st.sampled_from(["tcp", "udp", "sctp"]))
def test_ports(host: int, container: int, protocol: str) -> None:
    ends = [{"HostIp": "", "HostPort": str(host)}]
    assert ports.parse_port(f"{host}:{container}/{protocol}") == {f"{container}/{protocol}": ends}
    ends = [{"HostIp": "::1", "HostPort": str(host)}]
    assert ports.parse_port(f"[::1]:{host}:{container}/{protocol}") == {
        f"{container}/{protocol}": ends
    }


@given(st.integers(1, 60000), st.integers(1, 60000), st.integers(1, 50))
def test_port_ranges(host: int, container: int, count: int) -> None:
    made = ports.parse_port(f"{host}-{host + count}:{container}-{container + count}")
    assert len(made) == count + 1
    assert made[f"{container + count}/tcp"] == [{"HostIp": "", "HostPort": str(host + count)}]


@given(st.text(alphabet="0123456789:-/[]tcpx.", max_size=16))
def test_any_port_is_read_or_refused(text: str) -> None:
    words = ("invalid", "no port specified")
    assert refused(lambda: ports.parse_port(text), *words) or ports.parse_port(text)


@given(st.text(max_size=30))
def test_any_mount_network_and_gpu_is_read_or_refused(text: str) -> None:
    for parse in (parse_mount, parse_network, parse_gpus, checks.ulimit, checks.extra_host):
        assert refused(functools.partial(parse, text), "") or parse(text)


def test_volumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    binds, anonymous = split_volumes(["./a:/b:ro", "name:/c", "/d"])
    assert binds == [f"{tmp_path}/a:/b:ro", "name:/c"]
    assert anonymous == {"/d": {}}
    with pytest.raises(ValueError, match="empty section between colons"):
        split_volumes([":/x"])


def test_devices_and_capabilities() -> None:
    mappings, cdi = devices(["/dev/a:rw", "/dev/b:/dev/c", "vendor.com/class=x"])
    assert [m["PathInContainer"] for m in mappings] == ["/dev/a", "/dev/c"]
    assert [m["CgroupPermissions"] for m in mappings] == ["rw", "rwm"]
    assert cdi == ["vendor.com/class=x"]
    assert capabilities(["all", "net_admin"], ["CAP_KILL"]) == (
        ["ALL", "CAP_NET_ADMIN"],
        ["CAP_KILL"],
    )


NAME = st.text(alphabet="ABCabc_1", min_size=1)
VALUE = st.text(alphabet=st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]))


@given(st.dictionaries(NAME, VALUE))
def test_variables_from_a_file(variables: dict[str, str]) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="lading-test") as file:
        file.write("".join(f"{k}={v}\n# x\n\n" for k, v in variables.items()).encode())
        file.flush()
        found = read_variables(file.name, environment=True)
    assert found == [f"{k}={v}" for k, v in variables.items()]


def test_the_id_file(tmp_path: Path) -> None:
    path = tmp_path / "id"
    id_file = IdFile(str(path))
    id_file.close()
    assert not path.exists()
    id_file = IdFile(str(path))
    id_file.write("abc")
    id_file.close()
    assert path.read_text() == "abc"
    assert [p.name for p in tmp_path.iterdir()] == ["id"]


def test_address_pools() -> None:
    from lading.cli.commands.networks import COMMANDS
    from lading.cli.flags import parse

    def made(*words: str) -> list[dict[str, object]]:
        return pools(parse(COMMANDS["network create"].flags, list(words)))

    assert made() == []
    assert made(
        "--subnet", "10.1.0.0/16", "--gateway", "10.1.0.1", "--ip-range", "10.1.2.0/24"
    ) == [{"Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1", "IPRange": "10.1.2.0/24"}]
    assert made("--subnet", "10.1.0.0/16", "--aux-address", "r=10.1.0.9")[0] == {
        "Subnet": "10.1.0.0/16",
        "AuxiliaryAddresses": {"r": "10.1.0.9"},
    }
    for words, message in (
        (["--gateway", "10.1.0.1"], "must have a corresponding subnet"),
        (["--subnet", "10.1.0.0/16", "--gateway", "10.2.0.1"], "no matching subnet"),
        (["--subnet", "10.1.0.0/16", "--subnet", "10.1.1.0/24"], "overlapping"),
        (["--subnet", "x"], "invalid subnet"),
    ):
        with pytest.raises(ValueError, match=message):
            made(*words)
