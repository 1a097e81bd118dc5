"""Checks of a ContainerConfig: working directory, environment, stop signal, health check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.errors import InvalidParameter
from lading.kernel.signals import parse_signal

if TYPE_CHECKING:
    from lading.engine.model import ContainerConfig, Healthcheck

MILLISECOND = 1_000_000


def check_config(config: ContainerConfig) -> None:
    """Refuse what cannot be meant; raises InvalidParameter."""
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidParameter(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an "
            "absolute path"
        )
    if config.stop_signal:
        parse_signal(config.stop_signal)
    for variable in config.env or ():
        if not variable or variable.startswith("="):
            raise InvalidParameter(f"invalid environment variable: {variable}")
    if config.healthcheck is not None:
        _check_health(config.healthcheck)


def _check_health(health: Healthcheck) -> None:
    for value, name in (
        (health.interval, "Interval"),
        (health.timeout, "Timeout"),
        (health.start_period, "StartPeriod"),
        (health.start_interval, "StartInterval"),
    ):
        if value != 0 and value < MILLISECOND:
            raise InvalidParameter(f"{name} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidParameter("Retries in Healthcheck cannot be negative")
