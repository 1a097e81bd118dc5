"""What a container's log driver is told, from the record of the container."""

from __future__ import annotations

from pathlib import Path

from lading.engine.model import Container, HostConfig
from lading.shim.logfile import LogContext, check_options, log_attributes, log_config
from lading.shim.protocol import LogConfig


def check_log_options(host: HostConfig) -> None:
    """Refuse an unknown log driver or option when a container is created (InvalidParameter)."""
    check_options(host.log_config.type, host.log_config.config or {})


def shim_log_config(record: Container, path: Path) -> LogConfig:
    """Give the shim's log configuration; raises LadingError for values that make no sense."""
    chosen, config = record.host_config.log_config, record.config
    options = chosen.config or {}
    pairs = [each.partition("=") for each in config.env or ()]
    context = LogContext(
        container_id=record.id,
        name=record.name,
        image_id=record.image_id,
        image_name=config.image,
        labels=config.labels or {},
        env={name: value for name, _, value in pairs},
        command=" ".join([record.path, *record.args]),
        daemon_name="lading",
    )
    return log_config(chosen.type, options, path, log_attributes(options, context))
