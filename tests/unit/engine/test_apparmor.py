"""AppArmor: what a container's profile is, and how the default one is loaded."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.engine import apparmor
from lading.engine.info import security_options
from lading.engine.settings import Settings
from lading.engine.specs.process import confinement
from lading.engine.sysinfo import sysinfo
from lading.errors import LadingError

from .fakes import record


class Host:
    """A host's AppArmor in a directory: the kernel's files, and a parser that can be told."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.profiles = place / "apparmor" / "profiles"
        self.profiles.parent.mkdir()
        self.profiles.write_text("other (enforce)\nwith space (complain)\n")
        self.given = place / "given"
        self.parser = place / "apparmor_parser"
        (place / "enabled").write_text("Y\n")
        monkeypatch.delenv("container", raising=False)
        monkeypatch.setattr(apparmor, "ENABLED", place / "enabled")
        monkeypatch.setattr(apparmor, "LOADED", self.profiles)
        monkeypatch.setattr(apparmor, "PARSERS", (str(place / "nosuch"), str(self.parser)))

    def installs(self, script: str) -> None:
        """Put a parser in place."""
        self.parser.write_text(f"#!/bin/sh\n{script}\n")
        self.parser.chmod(0o755)

    def loads(self) -> None:
        """Put a parser in place that loads what it gets, and notes it."""
        name = "docker-default (enforce)"
        self.installs(
            f"cat > {self.given}; echo $@ >> {self.given}; echo '{name}' >> {self.profiles}"
        )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    caches = (apparmor.in_use, apparmor._tell_of_no_parser)
    for cache in caches:
        cache.cache_clear()
    yield Host(tmp_path, monkeypatch)
    for cache in caches:
        cache.cache_clear()


def profile(*options: str, privileged: bool = False) -> str:
    made = record(security_opt=list(options), privileged=privileged)
    made.app_armor_profile = apparmor.profile_of(made.host_config)
    assert confinement(made) == made.app_armor_profile.replace("unconfined", "")
    return made.app_armor_profile


def test_the_default_profile_is_loaded_once(host: Host) -> None:
    host.loads()
    apparmor.prepare()
    assert host.given.read_text().startswith(apparmor.PROFILE)
    assert host.given.read_text().endswith("--replace --skip-cache --quiet\n")
    host.given.unlink()
    assert profile() == "docker-default"
    assert profile("apparmor=docker-default") == "docker-default"
    assert not host.given.exists()
    host.profiles.write_text("")
    assert profile() == "docker-default"
    assert host.given.exists()


def test_what_is_asked_for(host: Host) -> None:
    host.loads()
    assert profile("apparmor=mine") == "mine"
    assert profile("apparmor:mine") == "mine"
    assert profile("apparmor=unconfined") == "unconfined"
    assert profile(privileged=True) == "unconfined"
    assert profile("apparmor=mine", privileged=True) == "unconfined"
    assert not host.given.exists()
    assert security_options(Settings(), sysinfo())[0] == "name=apparmor"


def test_without_a_parser_nothing_is_confined_and_the_log_says_so(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert [profile(), profile()] == ["unconfined", "unconfined"]
    assert [line for line in caplog.messages if "no apparmor_parser" in line] == caplog.messages
    assert len(caplog.messages) == 1
    assert profile("apparmor=mine") == "mine"


def test_a_parser_that_fails_is_quoted(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.installs("echo 'no\n  permission' >&2; exit 3")
    with pytest.raises(LadingError, match=r"could not be loaded: .*apparmor_parser: no permission"):
        profile()
    apparmor.prepare()
    assert "could not be loaded" in caplog.text
    host.parser.write_text("#!/nosuch\n")
    with pytest.raises(LadingError, match="No such file"):
        profile()


@pytest.mark.parametrize("why", ["off", "no file", "no policy", "in a container"])
def test_without_apparmor_nothing_asked_for_counts(
    host: Host, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "off":
        apparmor.ENABLED.write_text("N\n")
    elif why == "no file":
        apparmor.ENABLED.unlink()
    elif why == "no policy":
        shutil.rmtree(host.profiles.parent)
    else:
        monkeypatch.setenv("container", "lxc")
    host.loads()
    apparmor.prepare()
    assert [profile(), profile("apparmor=mine"), profile(privileged=True)] == ["", "", ""]
    assert not host.given.exists()
    assert "name=apparmor" not in security_options(Settings(), sysinfo())


def test_profiles_that_cannot_be_listed(host: Host) -> None:
    host.profiles.unlink()
    with pytest.raises(LadingError, match="cannot see whether the AppArmor profile docker-default"):
        profile()


@pytest.mark.skipif(
    not any(os.access(path, os.X_OK) for path in apparmor.PARSERS), reason="needs apparmor_parser"
)
def test_the_profile_is_one(host: Host) -> None:
    parser = next(path for path in ("/sbin/apparmor_parser", "/usr/sbin/apparmor_parser")
                  if os.access(path, os.X_OK))  # fmt: skip
    done = subprocess.run(
        [parser, "--skip-kernel-load", "--skip-cache"],
        input=apparmor.PROFILE.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
