"""Docker's types as typed structures: requests, what is kept on disk, what inspect shows.

`lists are None` where the client sent nothing: Docker answers `null` there, and `[]` where the
client sent an empty list. Use `config.env or ()`.
"""

from __future__ import annotations

from lading.engine.model.config import (
    AttachOptions,
    ContainerConfig,
    ExecConfig,
    ExecStartConfig,
    Healthcheck,
    LogOptions,
)
from lading.engine.model.container import (
    NEVER,
    Container,
    Health,
    HealthcheckResult,
    HealthStatus,
    MountDetail,
    MountPoint,
    MountRecord,
    State,
    Status,
)
from lading.engine.model.host import (
    BindOptions,
    DeviceMapping,
    DeviceRequest,
    HostConfig,
    ImageOptions,
    LogConfig,
    Mount,
    Resources,
    RestartPolicy,
    ThrottleDevice,
    TmpfsOptions,
    Ulimit,
    UpdateConfig,
    VolumeDriverConfig,
    VolumeOptions,
    WeightDevice,
)
from lading.engine.model.network import (
    EndpointIPAMConfig,
    EndpointSettings,
    NetworkingConfig,
    NetworkSettings,
    PortBinding,
    PortMap,
)
from lading.engine.model.wire import Wire, convert, decode, to_wire

__all__ = [
    "NEVER",
    "AttachOptions",
    "BindOptions",
    "Container",
    "ContainerConfig",
    "DeviceMapping",
    "DeviceRequest",
    "EndpointIPAMConfig",
    "EndpointSettings",
    "ExecConfig",
    "ExecStartConfig",
    "Health",
    "HealthStatus",
    "Healthcheck",
    "HealthcheckResult",
    "HostConfig",
    "ImageOptions",
    "LogConfig",
    "LogOptions",
    "Mount",
    "MountDetail",
    "MountPoint",
    "MountRecord",
    "NetworkSettings",
    "NetworkingConfig",
    "PortBinding",
    "PortMap",
    "Resources",
    "RestartPolicy",
    "State",
    "Status",
    "ThrottleDevice",
    "TmpfsOptions",
    "Ulimit",
    "UpdateConfig",
    "VolumeDriverConfig",
    "VolumeOptions",
    "WeightDevice",
    "Wire",
    "convert",
    "decode",
    "to_wire",
]
