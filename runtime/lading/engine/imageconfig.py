"""What a container takes from its image: everything its own configuration leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.engine.model import ContainerConfig, Healthcheck
from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from lading.image.model import Config as ImageConfig


def merge(config: ContainerConfig, image: ImageConfig | None) -> ContainerConfig:
    """Complete `config` in place from its image's, as Docker does, and give it back.

    Raises InvalidParameter `no command specified` if neither names a program.
    """
    if image is not None:
        _merge_plain(config, image)
        _merge_command(config, image)
        _merge_health(config, image)
    if config.entrypoint == [""]:
        config.entrypoint = None
    if not config.words:
        raise InvalidParameter("no command specified")
    return config


def _merge_plain(config: ContainerConfig, image: ImageConfig) -> None:
    config.user = config.user or image.user
    config.working_dir = config.working_dir or image.working_dir
    config.stop_signal = config.stop_signal or image.stop_signal
    if config.stop_timeout is None:
        config.stop_timeout = image.stop_timeout
    config.shell = config.shell or image.shell
    if image.exposed_ports:
        config.exposed_ports = {**image.exposed_ports, **(config.exposed_ports or {})}
    if image.volumes:
        config.volumes = {**image.volumes, **(config.volumes or {})}
    config.labels = {**(image.labels or {}), **(config.labels or {})}
    config.env = merged_env(image.env or [], config.env or [])


def merged_env(below: list[str], above: list[str]) -> list[str]:
    """Put `above` first and then those variables of `below` that it does not name."""
    named = {variable.partition("=")[0] for variable in above}
    return [*above, *(each for each in below if each.partition("=")[0] not in named)]


def _merge_command(config: ContainerConfig, image: ImageConfig) -> None:
    """Take the image's command unless there is one, or an entrypoint, of the container's own."""
    if not config.entrypoint:
        if not config.cmd:
            config.cmd = image.cmd
            config.args_escaped = config.args_escaped or image.args_escaped
        if config.entrypoint is None:
            config.entrypoint = image.entrypoint


def _merge_health(config: ContainerConfig, image: ImageConfig) -> None:
    if image.healthcheck is None:
        return
    if config.healthcheck is None:
        config.healthcheck = Healthcheck()
    mine, theirs = config.healthcheck, image.healthcheck
    mine.test = mine.test or theirs.test
    for name in ("interval", "timeout", "start_period", "start_interval", "retries"):
        setattr(mine, name, getattr(mine, name) or getattr(theirs, name))
