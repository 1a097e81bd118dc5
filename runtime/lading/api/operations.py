"""The operations of Docker's Engine API 1.51, as data: name, method, path, and who serves it.

The names are the `operationId`s of Docker's API description, of which this table is the whole.
A module of routes (`lading.api.routes.<group>`) is imported when its first operation is called.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Group(enum.StrEnum):
    """The modules of routes; `SWARM` and `PLUGIN` are answered with 503."""

    SYSTEM = "system"
    CONTAINER = "containers"
    CONTAINER_IO = "container_io"
    CONTAINER_FILES = "container_files"
    EXEC = "execs"
    IMAGE = "images"
    IMAGE_TRANSFER = "image_transfer"
    BUILD = "build"
    VOLUME = "volumes"
    NETWORK = "networks"
    REGISTRY = "registry"
    PLUGIN = "plugins"
    SWARM = "swarm"


class Operation(NamedTuple):
    """One operation of the API; in `path`, `{id}` stands for a name that may have slashes."""

    name: str
    method: str
    path: str
    group: Group


def _table(text: str) -> tuple[Operation, ...]:
    rows = (line.split() for line in text.strip().splitlines() if line.strip())
    return tuple(Operation(name, method, path, Group(group)) for name, method, path, group in rows)


_OPERATIONS = """
SystemPing                GET     /_ping                          system
SystemPingHead            HEAD    /_ping                          system
SystemInfo                GET     /info                           system
SystemVersion             GET     /version                        system
SystemEvents              GET     /events                         system
SystemDataUsage           GET     /system/df                      system

ContainerList             GET     /containers/json                containers
ContainerCreate           POST    /containers/create              containers
ContainerPrune            POST    /containers/prune               containers
ContainerInspect          GET     /containers/{id}/json           containers
ContainerTop              GET     /containers/{id}/top            containers
ContainerChanges          GET     /containers/{id}/changes        containers
ContainerStart            POST    /containers/{id}/start          containers
ContainerStop             POST    /containers/{id}/stop           containers
ContainerRestart          POST    /containers/{id}/restart        containers
ContainerKill             POST    /containers/{id}/kill           containers
ContainerUpdate           POST    /containers/{id}/update         containers
ContainerRename           POST    /containers/{id}/rename         containers
ContainerPause            POST    /containers/{id}/pause          containers
ContainerUnpause          POST    /containers/{id}/unpause        containers
ContainerWait             POST    /containers/{id}/wait           containers
ContainerDelete           DELETE  /containers/{id}                containers
ContainerLogs             GET     /containers/{id}/logs           container_io
ContainerStats            GET     /containers/{id}/stats          container_io
ContainerResize           POST    /containers/{id}/resize         container_io
ContainerAttach           POST    /containers/{id}/attach         container_io
ContainerAttachWebsocket  GET     /containers/{id}/attach/ws      container_io
ContainerExport           GET     /containers/{id}/export         container_files
ContainerArchiveInfo      HEAD    /containers/{id}/archive        container_files
ContainerArchive          GET     /containers/{id}/archive        container_files
PutContainerArchive       PUT     /containers/{id}/archive        container_files

ContainerExec             POST    /containers/{id}/exec           execs
ExecStart                 POST    /exec/{id}/start                execs
ExecResize                POST    /exec/{id}/resize               execs
ExecInspect               GET     /exec/{id}/json                 execs

ImageList                 GET     /images/json                    images
ImagePrune                POST    /images/prune                   images
ImageInspect              GET     /images/{id}/json               images
ImageHistory              GET     /images/{id}/history            images
ImageTag                  POST    /images/{id}/tag                images
ImageDelete               DELETE  /images/{id}                    images
ImageCreate               POST    /images/create                  image_transfer
ImageGetAll               GET     /images/get                     image_transfer
ImageGet                  GET     /images/{id}/get                image_transfer
ImageLoad                 POST    /images/load                    image_transfer
ImageCommit               POST    /commit                         image_transfer

ImageBuild                POST    /build                          build
BuildPrune                POST    /build/prune                    build
Session                   POST    /session                        build

ImagePush                 POST    /images/{id}/push               registry
ImageSearch               GET     /images/search                  registry
SystemAuth                POST    /auth                           registry
DistributionInspect       GET     /distribution/{id}/json         registry

VolumeList                GET     /volumes                        volumes
VolumeCreate              POST    /volumes/create                 volumes
VolumePrune               POST    /volumes/prune                  volumes
VolumeInspect             GET     /volumes/{id}                   volumes
VolumeUpdate              PUT     /volumes/{id}                   volumes
VolumeDelete              DELETE  /volumes/{id}                   volumes

NetworkList               GET     /networks                       networks
NetworkCreate             POST    /networks/create                networks
NetworkPrune              POST    /networks/prune                 networks
NetworkInspect            GET     /networks/{id}                  networks
NetworkDelete             DELETE  /networks/{id}                  networks
NetworkConnect            POST    /networks/{id}/connect          networks
NetworkDisconnect         POST    /networks/{id}/disconnect       networks

PluginList                GET     /plugins                        plugins
GetPluginPrivileges       GET     /plugins/privileges             plugins
PluginPull                POST    /plugins/pull                   plugins
PluginCreate              POST    /plugins/create                 plugins
PluginInspect             GET     /plugins/{id}/json              plugins
PluginDelete              DELETE  /plugins/{id}                   plugins
PluginEnable              POST    /plugins/{id}/enable            plugins
PluginDisable             POST    /plugins/{id}/disable           plugins
PluginUpgrade             POST    /plugins/{id}/upgrade           plugins
PluginPush                POST    /plugins/{id}/push              plugins
PluginSet                 POST    /plugins/{id}/set               plugins

SwarmInspect              GET     /swarm                          swarm
SwarmInit                 POST    /swarm/init                     swarm
SwarmJoin                 POST    /swarm/join                     swarm
SwarmLeave                POST    /swarm/leave                    swarm
SwarmUpdate               POST    /swarm/update                   swarm
SwarmUnlockkey            GET     /swarm/unlockkey                swarm
SwarmUnlock               POST    /swarm/unlock                   swarm
NodeList                  GET     /nodes                          swarm
NodeInspect               GET     /nodes/{id}                     swarm
NodeDelete                DELETE  /nodes/{id}                     swarm
NodeUpdate                POST    /nodes/{id}/update              swarm
ServiceList               GET     /services                       swarm
ServiceCreate             POST    /services/create                swarm
ServiceInspect            GET     /services/{id}                  swarm
ServiceDelete             DELETE  /services/{id}                  swarm
ServiceUpdate             POST    /services/{id}/update           swarm
ServiceLogs               GET     /services/{id}/logs             swarm
TaskList                  GET     /tasks                          swarm
TaskInspect               GET     /tasks/{id}                     swarm
TaskLogs                  GET     /tasks/{id}/logs                swarm
SecretList                GET     /secrets                        swarm
SecretCreate              POST    /secrets/create                 swarm
SecretInspect             GET     /secrets/{id}                   swarm
SecretDelete              DELETE  /secrets/{id}                   swarm
SecretUpdate              POST    /secrets/{id}/update            swarm
ConfigList                GET     /configs                        swarm
ConfigCreate              POST    /configs/create                 swarm
ConfigInspect             GET     /configs/{id}                   swarm
ConfigDelete              DELETE  /configs/{id}                   swarm
ConfigUpdate              POST    /configs/{id}/update            swarm
"""

_OWN_OPERATIONS = """
LadingContainerSteps      GET     /containers/{id}/lading/steps   containers
"""

OPERATIONS = _table(_OPERATIONS)
"""Every operation of Docker's API."""

OWN_OPERATIONS = _table(_OWN_OPERATIONS)
"""What Lading tells beyond Docker's API; the paths are such as Docker will hardly give a use."""
