"""A container sees its own processes, network, mounts, IPC and host name, and the host sees it."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.facts import own_namespaces, unified
from scenarios.harness.subject import Subject


def test_the_command_is_pid_1_inside_and_another_pid_on_the_host(
    engine: Subject, observe: Observe
) -> None:
    container = engine.start("sh", "-c", "echo $$; exec sleep 3600")
    engine.wait_until(lambda: container.logs() != b"", "the container's first line")
    status = engine.facts(container).status()
    inside = [int(pid) for pid in status["NSpid"].split()]
    assert container.logs().decode().strip() == "1"
    assert inside[-1] == 1
    assert inside[0] == engine.inspect(container)["State"]["Pid"] != 1
    observe("pid levels", len(inside))


def test_only_its_own_processes_are_seen(engine: Subject, observe: Observe) -> None:
    lines = engine.run("ps", "-o", "pid,args").splitlines()
    assert [line.split() for line in lines] == [["PID", "COMMAND"], ["1", "ps", "-o", "pid,args"]]
    observe("ps", lines)


def test_the_namespaces_differ_from_the_host(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper()
    host, mine = own_namespaces(), engine.facts(container).namespaces()
    separate = {kind for kind in mine if mine[kind] != host[kind]}
    assert {"ipc", "mnt", "net", "pid", "uts"} <= separate
    assert "user" not in separate
    assert ("cgroup" in separate) is unified()
    observe("separate", separate)


def test_two_containers_share_no_namespace(engine: Subject, observe: Observe) -> None:
    one = engine.facts(engine.sleeper()).namespaces()
    other = engine.facts(engine.sleeper()).namespaces()
    separate = {kind for kind in one if one[kind] != other[kind]}
    assert {"ipc", "mnt", "net", "pid", "uts"} <= separate
    observe("separate", separate)


def test_the_host_name_is_its_own(engine: Subject, observe: Observe) -> None:
    before = engine.host.check_output("hostname")
    assert engine.run("hostname", hostname="inside", domainname="example.test") == "inside"
    assert engine.run("sh", "-c", "cat /etc/hostname", hostname="inside") == "inside"
    assert engine.host.check_output("hostname") == before
    container = engine.sleeper()
    assert engine.exec(container, "hostname").out.strip() == container.id[:12]
    observe("setting it needs a capability", engine.exec(container, "hostname", "x").code)


def test_the_network_has_a_loopback_of_its_own(engine: Subject, observe: Observe) -> None:
    names = engine.run("ls", "/sys/class/net", network_mode="none").split()
    assert names == ["lo"]
    container = engine.sleeper()
    assert engine.exec(container, "ls", "/sys/class/net").out.split() == ["eth0", "lo"]
    routes = engine.exec(container, "ip", "route").out
    assert routes.startswith("default via ")
    observe("loopback", engine.exec(container, "ip", "-o", "-4", "addr", "show", "lo").out)


def test_a_mount_inside_does_not_leak(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(privileged=True)
    assert engine.exec(container, "mount", "-t", "tmpfs", "lading-leak", "/mnt").code != 0
    assert engine.exec(container, "mkdir", "/mnt").code == 0
    assert engine.exec(container, "mount", "-t", "tmpfs", "lading-leak", "/mnt").code == 0
    assert "/mnt" in engine.facts(container).mounts()
    assert "lading-leak" not in engine.host.file("/proc/self/mountinfo").content_string
    observe("root propagation", engine.facts(container).mounts()["/"].propagation)


def test_shared_memory_of_the_host_is_not_seen(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper()
    assert engine.exec(container, "ls", "-A", "/dev/shm").out == ""
    mount = engine.facts(container).mounts()["/dev/shm"]
    assert "size=65536k" in mount.super_options
    observe("options", mount.options)


def test_pid_mode_of_another_container_shows_its_processes(
    engine: Subject, observe: Observe
) -> None:
    first = engine.start("sleep", "3599")
    lines = engine.run("ps", "-o", "args", pid_mode=f"container:{first.id}").splitlines()
    assert "sleep 3599" in lines
    observe("ps", lines)


def test_host_modes_are_the_host(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(pid_mode="host", ipc_mode="host", uts_mode="host")
    host, mine = own_namespaces(), engine.facts(container).namespaces()
    assert {kind for kind in ("pid", "ipc", "uts") if mine[kind] == host[kind]} == {
        "pid",
        "ipc",
        "uts",
    }
    observe("shared", {kind for kind in mine if mine[kind] == host[kind]})
