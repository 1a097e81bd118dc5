"""AppArmor: a profile by default where the kernel has it, nothing where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.conftest import Observe
from scenarios.harness.subject import BUSYBOX, Subject


def _kernel_has_it() -> bool:
    try:
        return Path("/sys/module/apparmor/parameters/enabled").read_text().startswith("Y")
    except OSError:
        return False


with_apparmor = pytest.mark.skipif(not _kernel_has_it(), reason="the kernel has no AppArmor")
without_apparmor = pytest.mark.skipif(_kernel_has_it(), reason="the kernel has AppArmor")


def _profile(engine: Subject, *words: str) -> list[str]:
    """Run a container; give the profile that inspect shows and the one that the kernel says."""
    container = engine.succeed("run", "--detach", "--network=none", *words, BUSYBOX, "sleep", "60")
    shown = engine.succeed("inspect", "--format={{.AppArmorProfile}}", container)
    said = engine.succeed("exec", container, "cat", "/proc/1/attr/current")
    executed = engine.succeed("exec", container, "cat", "/proc/self/attr/current")
    return [shown, said.rstrip("\0\n"), executed.rstrip("\0\n")]


@with_apparmor
def test_the_default_profile(engine: Subject, observe: Observe) -> None:
    profiles = _profile(engine)
    assert profiles == ["docker-default", *["docker-default (enforce)"] * 2]
    script = (
        "mount -t tmpfs x /mnt; echo x > /proc/sys/kernel/hostname; echo x > /proc/sysrq-trigger"
    )
    result = engine.cli(
        "run", "--rm", "--network=none", "--cap-add=SYS_ADMIN",
        "--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined",
        BUSYBOX, "sh", "-c", script,
    )  # fmt: skip
    assert result.code != 0
    assert "ermission denied" in result.err
    observe("profiles", profiles)
    observe("refusals", result.err)


@with_apparmor
def test_other_profiles(engine: Subject, observe: Observe) -> None:
    for words in (["--security-opt=apparmor=unconfined"], ["--privileged"]):
        assert _profile(engine, *words) == ["unconfined"] * 3
    result = engine.fail("run", "--rm", "--network=none",
                         "--security-opt=apparmor=lading-test-nosuch", BUSYBOX, "true")  # fmt: skip
    assert "apparmor" in result.err.lower()
    observe("status", result.code)


@without_apparmor
def test_profiles_are_ignored_without_apparmor(engine: Subject, observe: Observe) -> None:
    shown = {}
    for option in (
        "apparmor=unconfined",
        "apparmor=lading-test-nosuch",
        "label=disable",
        "label=x",
    ):
        words = ["--network=none", f"--security-opt={option}", BUSYBOX, "true"]
        container = engine.succeed("create", *words)
        engine.succeed("start", "--attach", container)
        template = (
            "{{json .AppArmorProfile}} {{json .ProcessLabel}} {{json .HostConfig.SecurityOpt}}"
        )
        shown[option] = engine.succeed("inspect", f"--format={template}", container)
    assert engine.client.info()["SecurityOptions"][0] != "name=apparmor"
    observe("shown", shown)


@pytest.mark.parametrize("option", ["apparmor", "apparmor=", "label="])
def test_options_without_a_value(engine: Subject, observe: Observe, option: str) -> None:
    result = engine.fail("create", f"--security-opt={option}", BUSYBOX, "true")
    observe(f"status of {option}", result.code)
