"""What a container may not do: capabilities, no_new_privs, seccomp, hidden and read-only paths."""

from __future__ import annotations

import os

from scenarios.conftest import Observe
from scenarios.harness.facts import ContainerFacts
from scenarios.harness.subject import Subject

_SECRETS = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts")
_CAPABILITY_LINES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def test_the_default_capabilities(engine: Subject, observe: Observe) -> None:
    status = engine.facts(engine.sleeper()).status()
    assert status["CapEff"] == "00000000a80425fb"
    observe("capabilities", {name: status[name] for name in _CAPABILITY_LINES})


def test_capabilities_are_added_and_dropped(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(cap_drop=["ALL"], cap_add=["NET_ADMIN", "SYS_TIME"])
    status = engine.facts(container).status()
    assert int(status["CapEff"], 16) == 1 << 12 | 1 << 25
    observe("capabilities", {name: status[name] for name in _CAPABILITY_LINES})


def test_another_user_has_none(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(user="65534:100")
    status = engine.facts(container).status()
    assert int(status["CapEff"], 16) == 0
    assert engine.exec(container, "id").out.startswith("uid=65534(nobody) gid=100(users)")
    observe("capabilities", {name: status[name] for name in _CAPABILITY_LINES})
    observe("groups", status["Groups"])


def test_privileged_has_all_that_the_host_has(engine: Subject, observe: Observe) -> None:
    status = engine.facts(engine.sleeper(privileged=True)).status()
    assert status["CapEff"] == ContainerFacts(os.getpid()).status()["CapEff"]
    observe("seccomp", status["Seccomp"])


def test_seccomp_filters_by_default(engine: Subject, observe: Observe) -> None:
    status = engine.facts(engine.sleeper()).status()
    assert status["Seccomp"] == "2"
    free = engine.facts(engine.sleeper(security_opt=["seccomp=unconfined"])).status()
    assert free["Seccomp"] == "0"
    observe("unshare", engine.cli("run", "--rm", "busybox", "unshare", "-U", "true").err)


def test_no_new_privileges(engine: Subject, observe: Observe) -> None:
    assert engine.facts(engine.sleeper()).status()["NoNewPrivs"] == "0"
    status = engine.facts(engine.sleeper(security_opt=["no-new-privileges"])).status()
    assert status["NoNewPrivs"] == "1"
    observe("no new privileges", status["NoNewPrivs"])


def test_hidden_and_read_only_paths(engine: Subject, observe: Observe) -> None:
    mounts = engine.facts(engine.sleeper()).mounts()
    hidden = {path: mounts[path].fstype for path in sorted(mounts) if path.startswith("/proc/")}
    secrets = [path for path in _SECRETS if engine.host.file(path).exists]
    assert secrets
    assert all("tmpfs" in hidden[path] for path in secrets)
    assert "ro" in mounts["/proc/sys"].options
    assert "ro" in mounts["/sys"].options
    observe("below /proc", {path: mounts[path].options for path in hidden})


def test_the_devices(engine: Subject, observe: Observe) -> None:
    listing = engine.run("sh", "-c", "cd /dev && stat -c '%n %F %a' $(ls -A | sort)")
    names = {line.split()[0] for line in listing.splitlines()}
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"} <= names
    assert "kmsg" not in names
    observe("devices", listing)


def test_a_device_that_was_not_given_can_not_be_opened(engine: Subject, observe: Observe) -> None:
    script = "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg"
    result = engine.cli("run", "--rm", "busybox", "sh", "-c", script)
    assert result.code == 1
    assert "Operation not permitted" in result.err
    observe("complaint", result.err)


def test_a_read_only_root(engine: Subject, observe: Observe) -> None:
    result = engine.cli("run", "--rm", "--read-only", "busybox", "touch", "/x")
    assert result.code == 1
    assert "Read-only file system" in result.err
    assert engine.run("sh", "-c", "touch /tmp/x && echo fine", read_only=True, tmpfs={"/tmp": ""})
    observe("complaint", result.err)


def test_ulimits_and_sysctls(engine: Subject, observe: Observe) -> None:
    words = ["--ulimit", "nofile=100:200", "--sysctl", "net.ipv4.ip_unprivileged_port_start=80"]
    script = "ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    output = engine.succeed("run", "--rm", *words, "busybox", "sh", "-c", script)
    assert output.split() == ["100", "200", "80"]
    observe("output", output)
