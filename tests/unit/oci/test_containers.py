"""Real containers: what the program finds around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lading.errors import Conflict, NotFound
from lading.kernel import capabilities
from lading.kernel.process import wait_pidfd
from lading.oci import state
from lading.oci.container import Container, StepFailed
from lading.oci.spec import (
    LinuxIDMapping,
    LinuxIOPriority,
    LinuxMemory,
    LinuxNamespace,
    LinuxPersonality,
    LinuxPids,
    LinuxTimeOffset,
    POSIXRlimit,
    Process,
    Scheduler,
    Spec,
    User,
)
from lading.oci.state import CREATED, PAUSED, RUNNING, STOPPED

from .conftest import Bench

pytestmark = pytest.mark.root


def process(spec: Spec) -> Process:
    assert spec.process is not None
    return spec.process


def test_the_program_is_pid_1_and_alone(bench: Bench) -> None:
    outcome = bench.sh("echo $$; ps -o pid | wc -l; cat /proc/1/stat")
    pid, count, stat = outcome.out.splitlines()
    assert pid == "1"
    assert int(count) <= 5  # sh, ps, wc, the header
    fields = stat[stat.rindex(")") + 2 :].split()
    assert fields[1:4] == ["0", "1", "1"]  # no parent, its own group and session
    bench.assert_nothing_left()


def test_its_exit_status_and_output_come_through(bench: Bench) -> None:
    outcome = bench.sh("echo out; echo err >&2; exit 7")
    assert (outcome.status, outcome.out, outcome.err) == (7, "out\n", "err\n")


def test_a_signal_becomes_128_and_its_number(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/sleep", "60"))
    created.ready()
    created.start()
    created.container.kill(9)
    assert bench.finish(created).status == 137


def test_namespaces_are_new(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/sleep", "60"))
    created.ready()
    for kind in ("pid", "net", "mnt", "ipc", "uts", "cgroup"):
        theirs = os.readlink(f"/proc/{created.pid}/ns/{kind}")
        assert theirs != os.readlink(f"/proc/self/ns/{kind}"), kind
    assert os.readlink(f"/proc/{created.pid}/ns/user") == os.readlink("/proc/self/ns/user")


def test_a_network_namespace_is_joined_and_left_again(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        for namespace in spec.linux.namespaces:
            if namespace.type == "network":
                namespace.path = "/proc/self/ns/net"

    before = os.readlink("/proc/self/ns/net")
    outcome = bench.sh("ls -l /proc/self/ns/net", change)
    assert before in outcome.out
    assert os.readlink("/proc/self/ns/net") == before


def test_a_pid_namespace_is_joined(bench: Bench, tmp_path: Path) -> None:
    created = bench.create(bench.spec("/bin/sleep", "60"))
    created.ready()
    created.start()
    other = tmp_path / "other"
    other.mkdir()
    second = Bench(other)
    spec = second.spec("/bin/sh", "-c", "echo $$; ps")
    assert spec.linux is not None
    for namespace in spec.linux.namespaces:
        if namespace.type == "pid":
            namespace.path = f"/proc/{created.pid}/ns/pid"
    outcome = second.run(spec)
    assert outcome.out.splitlines()[0] != "1"
    assert "sleep 60" in outcome.out


def test_names_and_sysctls_are_its_own(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        spec.hostname, spec.domainname = "lading-test", "test.example"
        spec.linux.sysctl = {
            "net.ipv4.ip_unprivileged_port_start": "0",
            "kernel.shm_rmid_forced": "1",
        }

    script = """hostname; cat /proc/sys/kernel/domainname \
        /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced"""
    before = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
    outcome = bench.sh(script, change)
    assert outcome.out.split() == ["lading-test", "test.example", "0", "1"]
    assert Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() == before


def test_only_loopback_is_there_and_up(bench: Bench) -> None:
    outcome = bench.sh("ip -o link | grep -v 'state DOWN\\|noop'")
    assert [line.split(":")[1].strip() for line in outcome.out.splitlines()] == ["lo"]
    assert "UP" in outcome.out


def test_all_five_capability_sets(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        sets = process(spec).capabilities
        assert sets is not None
        sets.bounding = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"]
        sets.permitted = ["CAP_KILL", "CAP_CHOWN"]
        sets.effective = ["CAP_KILL"]
        sets.inheritable = ["CAP_CHOWN", "CAP_KILL"]
        sets.ambient = ["CAP_CHOWN"]
        process(spec).user = User(uid=1000, gid=1000)

    outcome = bench.sh("grep Cap /proc/self/status", change)
    found = dict(line.split(":\t") for line in outcome.out.splitlines())
    bits = {
        name: capabilities.to_bits(names)
        for name, names in {
            "CapBnd": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"],
            "CapPrm": ["CAP_CHOWN"],  # what execve leaves a user: the ambient set
            "CapEff": ["CAP_CHOWN"],
            "CapInh": ["CAP_CHOWN", "CAP_KILL"],
            "CapAmb": ["CAP_CHOWN"],
        }.items()
    }
    assert {name: int(value, 16) for name, value in found.items()} == bits


def test_docker_default_capabilities_and_seccomp(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        process(spec).no_new_privileges = False

    outcome = bench.sh("grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status", change)
    assert outcome.out.split() == [
        "CapEff:",
        "00000000a80425fb",
        "NoNewPrivs:",
        "0",
        "Seccomp:",
        "2",
    ]


def test_no_new_privs(bench: Bench) -> None:
    outcome = bench.sh("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status")
    assert outcome.out.split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]


def test_seccomp_refuses_a_mount(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        sets = process(spec).capabilities
        assert sets is not None
        for held in (sets.bounding, sets.effective, sets.permitted):
            held.append("CAP_SYS_ADMIN")  # the filter is that for containers without it

    assert "permission denied" in bench.sh("mount -t tmpfs x /tmp", change).err


def test_user_groups_umask_and_home(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        process(spec).user = User(uid=1000, gid=1000, additional_gids=[5, 77], umask=0o27)

    outcome = bench.sh("id -u; id -g; id -G; umask; echo $HOME; echo x > /dev/stderr", change)
    assert outcome.out.split() == ["1000", "1000", "1000", "5", "77", "0027", "/home/test"]
    assert outcome.err == "x\n"


def test_a_user_without_an_entry_lives_in_the_root(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        process(spec).user = User(uid=4321, gid=0)

    assert bench.sh("echo $HOME", change).out == "/\n"


def test_rlimits_oom_score_and_personality(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        process(spec).rlimits = [
            POSIXRlimit(type="RLIMIT_NOFILE", soft=77, hard=88),
            POSIXRlimit(type="RLIMIT_CORE", soft=0, hard=0),
        ]
        process(spec).oom_score_adj = 321
        assert spec.linux is not None
        if os.uname().machine == "x86_64":
            spec.linux.personality = LinuxPersonality(domain="LINUX32")

    outcome = bench.sh("ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj", change)
    assert outcome.out.split() == ["77", "88", "0", "321"]


def test_environment_is_the_specs_alone(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        process(spec).env = ["PATH=/bin", "A=1", "A=2", "HOME=/h", "B=x=y"]
        process(spec).args = ["env"]

    outcome = bench.sh("", change)
    assert sorted(outcome.out.splitlines()) == ["A=2", "B=x=y", "HOME=/h", "PATH=/bin"]


def test_no_descriptor_leaks_in(bench: Bench) -> None:
    with open("/etc/hostname") as leaky:
        os.set_inheritable(leaky.fileno(), True)
        outcome = bench.sh("ls /proc/self/fd")
    assert outcome.out.split() == ["0", "1", "2", "3"]  # 3 is ls's own


def test_descriptors_are_preserved_on_request(bench: Bench) -> None:
    with open(os.memfd_create("lading-test"), "w+") as file:
        file.write("kept")
        file.flush()
        saved = os.dup(3)
        try:
            os.dup2(file.fileno(), 3)
            outcome = bench.run(bench.spec("/bin/sh", "-c", "cat /proc/self/fd/3"), preserve_fds=1)
        finally:
            os.dup2(saved, 3, inheritable=False)
            os.close(saved)
    assert outcome.out == "kept"


def test_ignored_signals_are_not_inherited(bench: Bench) -> None:
    outcome = bench.run(bench.spec("/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status"))
    assert outcome.out.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]


def test_working_directory_is_made_and_entered(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        process(spec).cwd = "/made/for/it"

    assert bench.sh("pwd", change).out == "/made/for/it\n"


def test_cgroup_limits_hold(bench: Bench) -> None:
    spec = bench.spec("/bin/sleep", "60")
    assert spec.linux is not None
    assert spec.linux.resources is not None
    spec.linux.resources.memory = LinuxMemory(limit=32 << 20)
    spec.linux.resources.pids = LinuxPids(limit=9)
    created = bench.create(spec)
    created.ready()
    created.start()
    stats = created.container.stats()
    if stats.memory is not None:
        assert stats.memory.limit == 32 << 20
    if stats.pids is not None:
        assert stats.pids.limit == 9
    assert created.container.pids() == [created.pid]


def test_a_memory_limit_too_low_is_said_to_be(bench: Bench) -> None:
    spec = bench.spec("/bin/true")
    assert spec.linux is not None
    assert spec.linux.resources is not None
    spec.linux.resources.memory = LinuxMemory(limit=4096, swap=4096)
    with pytest.raises(StepFailed):
        bench.create(spec).ready()
    bench.created.clear()
    bench.assert_nothing_left()


def test_user_namespace(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        spec.linux.namespaces.append(LinuxNamespace(type="user"))
        mappings = [LinuxIDMapping(container_id=0, host_id=100000, size=65536)]
        spec.linux.uid_mappings = spec.linux.gid_mappings = mappings
        process(spec).oom_score_adj = 7
        # The setup itself needs more; it inherits this run's files, too.
        process(spec).rlimits = [POSIXRlimit(type="RLIMIT_NOFILE", soft=12, hard=13)]

    for directory in (bench.base, *bench.base.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o011)
    outcome = bench.sh(
        "id -u; cat /proc/self/uid_map; ulimit -n; cat /proc/self/oom_score_adj;"
        "echo x > /dev/null && echo written; ls /dev",
        change,
    )
    words = outcome.out.split()
    assert words[:4] == ["0", "0", "100000", "65536"], outcome.err
    assert words[4:7] == ["12", "7", "written"]
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm"} <= set(words)
    bench.assert_nothing_left()


def test_a_user_namespace_is_joined(bench: Bench, tmp_path: Path) -> None:
    spec = bench.spec("/bin/sleep", "60")
    assert spec.linux is not None
    spec.linux.namespaces.append(LinuxNamespace(type="user"))
    mappings = [LinuxIDMapping(container_id=0, host_id=100000, size=65536)]
    spec.linux.uid_mappings = spec.linux.gid_mappings = mappings
    for directory in (bench.base, *bench.base.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o011)
    created = bench.create(spec)
    created.ready()
    created.start()
    (tmp_path / "other").mkdir()
    second = Bench(tmp_path / "other")
    spec = second.spec("/bin/sh", "-c", "cat /proc/self/uid_map; ls -l /proc/self/ns; echo $$")
    assert spec.linux is not None
    spec.linux.namespaces.append(LinuxNamespace(type="user"))
    for namespace in spec.linux.namespaces:
        if namespace.type in ("user", "network"):
            file = {"network": "net"}.get(namespace.type, namespace.type)
            namespace.path = f"/proc/{created.pid}/ns/{file}"
    joined = second.create(spec)
    assert os.waitid(os.P_PID, joined.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    joined.ready()
    joined.start()
    outcome = second.finish(joined)
    assert outcome.out.split()[:3] == ["0", "100000", "65536"], outcome.err
    for kind in ("user", "net"):
        assert os.readlink(f"/proc/{created.pid}/ns/{kind}") in outcome.out
    assert outcome.out.split()[-1] == "1"
    second.assert_nothing_left()


def test_scheduling_is_the_specs(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        process(spec).scheduler = Scheduler(policy="SCHED_BATCH", nice=7)
        process(spec).io_priority = LinuxIOPriority(class_="IOPRIO_CLASS_IDLE")

    fields = bench.sh("cat /proc/self/stat", change).out.rpartition(")")[2].split()
    assert fields[16] == "7"  # nice
    assert fields[38] == "3"  # SCHED_BATCH


def test_time_namespace(bench: Bench) -> None:
    if not os.path.exists("/proc/self/ns/time"):
        pytest.skip("this kernel has no time namespaces")

    def change(spec: Spec) -> None:
        assert spec.linux is not None
        spec.linux.namespaces.append(LinuxNamespace(type="time"))
        spec.linux.time_offsets = {"boottime": LinuxTimeOffset(secs=10_000_000)}

    assert float(bench.sh("cat /proc/uptime", change).out.split()[0]) > 10_000_000


def test_the_states_of_a_life(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/sleep", "60"))
    container = created.container
    created.ready()
    assert container.status() == CREATED
    created.start()
    assert container.status() == RUNNING
    document = Container.load(bench.state_dir).state().document()
    assert document["id"] == bench.container_id
    assert document["pid"] == created.pid
    assert document["bundle"] == str(bench.bundle)
    with pytest.raises(Conflict, match="not stopped: running"):
        container.delete()
    container.pause()
    assert Container.load(bench.state_dir).status() == PAUSED
    with pytest.raises(Conflict, match="it is paused"):
        container.pause()
    container.resume()
    container.kill(15, everyone=True)
    container.kill(9)
    wait_pidfd(created.pidfd)
    assert container.status() == STOPPED
    with pytest.raises(Conflict, match="is not running"):
        container.kill(9)
    container.delete()
    with pytest.raises(NotFound, match="does not exist"):
        Container.load(bench.state_dir)
    created.close()
    bench.created.clear()
    bench.assert_nothing_left()


def test_an_id_is_used_once(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/sleep", "60"))
    created.ready()
    with pytest.raises(Conflict, match="already exists"):
        bench.create(bench.spec("/bin/true"))


def test_a_creation_cut_off_can_be_deleted(bench: Bench) -> None:
    receive, send = os.pipe()
    creator = os.fork()
    if creator == 0:
        bench.create(bench.spec("/bin/sleep", "600")).ready()
        record = state.read(bench.state_dir)
        record.status, record.pid = state.CREATING, 0  # as if it had died some moments earlier
        state.write(bench.state_dir, record)
        os.write(send, b"x")
        os.kill(os.getpid(), 9)
    os.read(receive, 1)
    os.waitpid(creator, 0)
    container = Container.load(bench.state_dir)
    assert container.status() == state.CREATING
    container.delete()
    bench.assert_nothing_left()
    os.close(receive)
    os.close(send)


def test_another_process_may_start_it(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/sh", "-c", "echo started"), exec_fifo=True)
    created.ready()
    found = Container.load(bench.state_dir)
    assert found.status() == CREATED
    found.start()
    with pytest.raises(Conflict, match="cannot start"):
        found.start()
    assert bench.finish(created).out == "started\n"


def test_timings_name_every_step(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/true"))
    created.ready()
    created.start()
    timed = [timing.step for timing in created.timings()]
    planned = [step.name for _, step in created.plan.placed()]
    assert timed == planned[:-1]  # all but the execve itself
    assert all(timing.ns >= 0 for timing in created.timings())
    bench.finish(created)
