"""Limits are enforced by the kernel, shown by inspect, and stand in the cgroup's files."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject

_MIB = 1 << 20
_EAT = "head -c 200m /dev/zero | tail > /dev/null"


def test_memory_stands_in_the_cgroup_and_in_inspect(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(mem_limit="100m")
    value = engine.facts(container).cgroup_value("memory", "memory.limit_in_bytes", "memory.max")
    config = engine.inspect(container)["HostConfig"]
    assert int(value) == config["Memory"] == 100 * _MIB
    assert config["MemorySwap"] == 200 * _MIB
    observe("host config", {key: config[key] for key in sorted(config) if "Memory" in key})


def test_too_much_memory_is_an_oom_kill_that_inspect_shows(
    engine: Subject, observe: Observe
) -> None:
    container = engine.start("sh", "-c", _EAT, mem_limit="20m", memswap_limit="20m")
    code = container.wait()["StatusCode"]
    state = engine.inspect(container)["State"]
    assert state["OOMKilled"] is True
    observe("exit code", code)
    observe("state", {key: state[key] for key in ("Status", "OOMKilled", "ExitCode", "Error")})


def test_an_oom_kill_of_pid_1_is_137(engine: Subject, observe: Observe) -> None:
    container = engine.start("tail", "/dev/zero", mem_limit="10m", memswap_limit="10m")
    assert container.wait()["StatusCode"] == 137
    state = engine.inspect(container)["State"]
    assert state["OOMKilled"] is True
    observe("state", {key: state[key] for key in ("Status", "OOMKilled", "ExitCode", "Error")})


def test_cpus_are_a_quota(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(nano_cpus=500_000_000)
    facts = engine.facts(container)
    value = facts.cgroup_value("cpu", "cpu.cfs_quota_us", "cpu.max").split()
    assert value[0] == "50000"
    assert engine.inspect(container)["HostConfig"]["NanoCpus"] == 500_000_000
    observe("quota", value)


def test_cpu_shares_and_sets(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(cpu_shares=512, cpuset_cpus="0")
    facts = engine.facts(container)
    assert facts.status()["Cpus_allowed_list"] == "0"
    observe("shares", facts.cgroup_value("cpu", "cpu.shares", "cpu.weight"))
    observe("cpuset", facts.cgroup_value("cpuset", "cpuset.cpus", "cpuset.cpus"))


def test_the_number_of_processes(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(pids_limit=5)
    assert engine.facts(container).cgroup_value("pids", "pids.max", "pids.max") == "5"
    forks = "for i in 1 2 3 4 5 6 7 8; do sleep 9 & done"
    result = engine.exec(container, "sh", "-c", forks)
    assert "can't fork" in result.err
    observe("exit code", result.code)


def test_without_limits_there_are_none(engine: Subject, observe: Observe) -> None:
    facts = engine.facts(engine.sleeper())
    quota = facts.cgroup_value("cpu", "cpu.cfs_quota_us", "cpu.max").split()
    assert quota[0] in ("-1", "max")
    assert facts.cgroup_value("pids", "pids.max", "pids.max") == "max"
    observe("shares", facts.cgroup_value("cpu", "cpu.shares", "cpu.weight"))


def test_limits_are_changed_while_it_runs(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(mem_limit="100m", memswap_limit="200m")
    container.update(mem_limit="50m", cpu_shares=256)
    facts = engine.facts(container)
    value = facts.cgroup_value("memory", "memory.limit_in_bytes", "memory.max")
    assert int(value) == 50 * _MIB
    assert engine.inspect(container)["HostConfig"]["Memory"] == 50 * _MIB
    observe("shares", facts.cgroup_value("cpu", "cpu.shares", "cpu.weight"))


def test_the_container_sees_its_own_limit(engine: Subject, observe: Observe) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max"
    output = engine.run("sh", "-c", f"{script} 2>/dev/null", mem_limit="64m")
    assert output == str(64 * _MIB)
    observe("limit", output)
