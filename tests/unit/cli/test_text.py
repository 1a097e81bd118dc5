"""What is made for the eye: tables, ports, listings, progress, usage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli import fastjson, tables
from lading.cli.failures import CliError
from lading.cli.format_text import quoted
from lading.cli.listing import Column, Listing, View, render
from lading.cli.portlist import show_ports
from lading.cli.progress import Lines, follow
from lading.cli.usage import Usage, cpu_percent, used_memory

CELL = st.text(alphabet="abc", max_size=12)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1))
def test_columns_line_up(rows: list[tuple[str, str, str]]) -> None:
    lines = tables.align("\n".join("\t".join(row) for row in rows)).split("\n")
    first = max(tables.MINIMUM, *(len(a) + tables.PADDING for a, _, _ in rows))
    second = first + max(tables.MINIMUM, *(len(b) + tables.PADDING for _, b, _ in rows))
    for line, (a, b, c) in zip(lines, rows, strict=True):
        assert (line[:first].rstrip(), line[first:second].rstrip(), line[second:]) == (a, b, c)


def test_a_line_without_tabs_ends_a_column() -> None:
    assert tables.align("a\tb\nplain\nlonger than ten\tc") == (
        "a         b\nplain\nlonger than ten   c"
    )


@given(st.lists(st.tuples(CELL, CELL), min_size=1), st.integers(20, 60))
def test_tables_fit_if_they_can(rows: list[tuple[str, str]], width: int) -> None:
    made = tables.table([list(row) for row in [("A", "B"), *rows]], [True, True], width)
    assert all(len(line) <= width for line in made.splitlines())


def test_only_columns_that_may_shrink_do() -> None:
    rows = [["ID", "TEXT"], ["0123456789ab", "x" * 50]]
    made = tables.table(rows, [False, True], 40).splitlines()
    assert made[1].startswith("0123456789ab   xxx")
    assert made[1].endswith("x…")
    assert len(made[1]) == 40


def port(private: int, public: int = 0, ip: str = "", kind: str = "tcp") -> dict[str, Any]:
    return {"PrivatePort": private, "PublicPort": public, "IP": ip, "Type": kind}


@pytest.mark.parametrize(
    ("ports", "shown"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(82), port(80), port(81), port(90, kind="udp")], "80-82/tcp, 90/udp"),
        ([port(80, 8080, "0.0.0.0"), port(443)], "443/tcp, 0.0.0.0:8080->80/tcp"),
        ([port(80, 80, "::"), port(81, 81, "::")], "[::]:80-81->80-81/tcp"),
        ([port(80), port(82)], "80/tcp, 82/tcp"),
    ],
)
def test_ports_in_a_cell(ports: list[dict[str, Any]], shown: str) -> None:
    assert show_ports(ports) == shown


LISTING = Listing(
    "*x.Context",
    (Column("ID", "THE ID", lambda i, _: i["id"]), Column("Name", "NAME", lambda i, _: i["name"])),
    raw="id: {{.ID}}\n",
    raw_quiet="id: {{.ID}}",
)


@pytest.mark.parametrize(
    ("template", "quiet", "shown"),
    [
        ("", False, "THE ID    NAME\n1         <a>\n"),
        ("table", True, "1\n"),
        ("", True, "1\n"),
        ("json", False, '{"ID":"1","Name":"\\u003ca\\u003e"}\n'),
        ("raw", False, "id: 1\n\n"),
        ("raw", True, "id: 1\n"),
        ("{{.Name}}", True, "<a>\n"),
        ("table {{.Name}}", False, "NAME\n<a>\n"),
    ],
)
def test_one_listing_in_all_forms(template: str, quiet: bool, shown: str) -> None:
    items = [{"id": "1", "name": "<a>"}]
    made = render(LISTING, items, ("ID", "Name"), view=View(), template=template, quiet=quiet)
    assert made == shown


def test_go_quotes() -> None:
    assert quoted("plain") == '"plain"'
    assert quoted('a "b"\n') == '"a \\"b\\"\\n"'


class Sink:
    def __init__(self) -> None:
        self.text = ""

    def out(self, text: str) -> None:
        self.text += text

    error = out


def test_progress_as_lines() -> None:
    shown: list[str] = []
    lines = Lines(shown.append)
    for message in (
        {"status": "Pulling from x", "id": "latest"},
        {"status": "Downloading", "id": "aa", "progressDetail": {"current": 1, "total": 2}},
        {"status": "Pull complete", "id": "aa", "progressDetail": {}},
        {"stream": "Step 1/1 : FROM x\n"},
        {"aux": {"ID": "sha256:1"}},
        {"status": "done"},
    ):
        lines.show(message)
    assert "".join(shown) == (
        "latest: Pulling from x\naa: Pull complete\nStep 1/1 : FROM x\ndone\n"
    )


def test_an_error_in_the_stream_ends_the_command() -> None:
    sink: Any = Sink()
    messages: list[dict[str, Any]] = [
        {"stream": "x\n"},
        {"error": "e", "errorDetail": {"code": 3, "message": "RUN failed"}},
    ]
    with pytest.raises(CliError, match="RUN failed") as caught:
        follow(sink, messages)
    assert caught.value.status == 3
    found: list[dict[str, Any]] = []
    follow(sink, [{"aux": {"ID": "i"}}], aux=found.append)
    assert found == [{"ID": "i"}]


def test_usage_from_a_sample() -> None:
    sample = {
        "name": "/web",
        "id": "abc",
        "cpu_stats": {
            "cpu_usage": {"total_usage": 150},
            "system_cpu_usage": 1100,
            "online_cpus": 2,
        },
        "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
        "memory_stats": {"usage": 3 << 20, "limit": 10 << 20, "stats": {"inactive_file": 1 << 20}},
        "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 2}, "eth1": {"rx_bytes": 500}},
        "blkio_stats": {
            "io_service_bytes_recursive": [{"op": "Read", "value": 5}, {"op": "write", "value": 7}]
        },
        "pids_stats": {"current": 4},
    }
    usage = Usage("web")
    assert usage.memory_text() == "-- / --"
    usage.take(sample)
    assert usage.cpu_text() == "100.00%"
    assert usage.memory_text() == "2MiB / 10MiB"
    assert usage.memory_percent_text() == "20.00%"
    assert usage.network_text() == "1.5kB / 2B"
    assert usage.block_text() == "5B / 7B"
    assert usage.processes_text() == "4"
    assert cpu_percent({}) == 0
    assert used_memory({"usage": 5, "stats": {"total_inactive_file": 2}}) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_both_ways(value: Any) -> None:
    import json

    assert fastjson.loads(fastjson.dumps(value)) == value
    assert json.loads(fastjson.dumps(value, indent="  ")) == value
    assert fastjson.loads(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["", "{", "[1,]", '{"a":1}x', "nope", '"\n"'])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fastjson.loads(text)


def test_progress_as_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from lading.cli.bars import Bars

    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    bars = Bars(to_stderr=False)
    for message in (
        {"status": "Pulling from x", "id": "latest"},
        {"status": "Downloading", "id": "aa", "progressDetail": {"current": 1000, "total": 2000}},
        {"status": "Extracting", "id": "aa", "progressDetail": {"current": 1, "units": "s"}},
        {"status": "Pull complete", "id": "aa", "progressDetail": {}},
        {"aux": {"ID": "x"}},
        {"stream": "Step [1/2]\n"},
        {"status": "Status: done"},
    ):
        bars.show(message)
    bars.close()
    shown = out.getvalue()
    assert shown.startswith("latest: Pulling from x\n")
    assert "aa Pull complete" in shown
    assert "2.0/2.0 kB" in shown
    assert "Step [1/2]\n" in shown
    assert "Status: done" in shown
