from __future__ import annotations

import os
from pathlib import Path

import pytest

from lading.network import hostsfile


def test_hosts_has_loopback_extra_and_own_lines() -> None:
    text = hostsfile.hosts([("172.17.0.2", "web.example web")], [("1.2.3.4", "db")])
    assert text.splitlines() == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
        "1.2.3.4\tdb",
        "172.17.0.2\tweb.example web",
    ]


def test_hosts_on_the_hosts_network_start_from_its_own() -> None:
    assert hostsfile.hosts(extra=[("1.2.3.4", "db")], base="10.0.0.1 me") == (
        "10.0.0.1 me\n1.2.3.4\tdb\n"
    )


def test_lines_come_and_go_with_networks() -> None:
    text = hostsfile.with_entries("127.0.0.1\tlocalhost", [("172.18.0.2", "web")])
    assert text == "127.0.0.1\tlocalhost\n172.18.0.2\tweb\n"
    edited = text + "1.2.3.4 mine\n"
    assert hostsfile.without_entries(edited, [("172.18.0.2", "web")]) == (
        "127.0.0.1\tlocalhost\n1.2.3.4 mine\n"
    )


def test_hostname() -> None:
    assert hostsfile.hostname("web") == "web\n"


HOST = """\
# a comment
nameserver 10.0.0.53  # trailing
nameserver 127.0.0.1
domain old.example
search one.example two.example
options ndots:3 edns0
sortlist 1.2.3.4
"""


def test_loopback_servers_are_left_out() -> None:
    text = hostsfile.resolv_conf(HOST)
    lines = text.splitlines()
    assert "nameserver 10.0.0.53" in lines
    assert "127.0.0.1" not in text
    assert "search one.example two.example" in lines
    assert "options ndots:3 edns0" in lines
    assert lines[-3:] == [
        "# Based on host file: '/etc/resolv.conf' (legacy)",
        "# Overrides: []",
        "# Option ndots from: host",
    ]


def test_on_the_hosts_network_they_stay() -> None:
    text = hostsfile.resolv_conf(HOST, keep_loopback=True)
    assert "nameserver 127.0.0.1\n" in text
    assert "(legacy)" not in text


def test_public_servers_stand_in_for_none() -> None:
    text = hostsfile.resolv_conf("nameserver 127.0.0.1\nnameserver ::1\n")
    assert "nameserver 8.8.8.8\nnameserver 8.8.4.4\n" in text


def test_what_was_given_replaces_the_hosts() -> None:
    text = hostsfile.resolv_conf(HOST, servers=["9.9.9.9"], search=["ex.com"], options=["ndots:2"])
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == ["nameserver 9.9.9.9", "search ex.com", "options ndots:2"]
    assert "# Overrides: [nameservers search options]\n# Option ndots from: override\n" in text


def test_a_dot_means_no_search_domain() -> None:
    assert "search" not in hostsfile.resolv_conf(HOST, search=["."]).split("#")[3]


@pytest.mark.parametrize(
    ("servers", "shown", "upstream"),
    [
        ([], "[host(10.0.0.53) host(127.0.0.1)]", ("10.0.0.53", "127.0.0.1")),
        (["9.9.9.9"], "[9.9.9.9]", ("9.9.9.9",)),
    ],
)
def test_the_internal_resolver(servers: list[str], shown: str, upstream: tuple[str, ...]) -> None:
    plain = HOST.replace("options ndots:3 edns0\n", "")
    text, forwarded = hostsfile.internal_resolv_conf(plain, servers=servers)
    assert "nameserver 127.0.0.11\nsearch one.example two.example\noptions ndots:0\n" in text
    assert f"# ExtServers: {shown}\n" in text
    assert text.endswith("# Option ndots from: internal\n")
    assert forwarded == upstream
    text, _ = hostsfile.internal_resolv_conf(HOST)
    assert "options ndots:3 edns0\n" in text
    assert text.endswith("# Option ndots from: host\n")


def test_the_real_servers_behind_a_stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub, upstream = tmp_path / "resolv.conf", tmp_path / "upstream"
    stub.write_text("nameserver 127.0.0.53\n")
    monkeypatch.setattr(hostsfile, "_STUB_UPSTREAM", upstream)
    assert hostsfile.host_resolv_conf(stub) == ("nameserver 127.0.0.53\n", stub)
    upstream.write_text("nameserver 10.0.0.1\n")
    assert hostsfile.host_resolv_conf(stub) == ("nameserver 10.0.0.1\n", upstream)
    assert hostsfile.host_resolv_conf(tmp_path / "absent") == ("", tmp_path / "absent")


def test_written_in_place(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    hostsfile.write(path, "a longer first text\n")
    before = os.stat(path).st_ino
    hostsfile.write(path, "short\n")
    assert path.read_text() == "short\n"
    assert os.stat(path).st_ino == before
    assert os.stat(path).st_mode & 0o777 == 0o644
