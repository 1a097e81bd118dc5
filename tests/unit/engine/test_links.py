"""Legacy links."""

from __future__ import annotations

import pytest

from lading.engine.links import active_links, settled_links
from lading.engine.model import EndpointSettings, Status
from lading.errors import InvalidParameter, LadingError, NotFound

from .fakes import record


def test_links_name_address_ports_and_variables() -> None:
    database = record("db")
    database.state.status = Status.RUNNING
    database.config.exposed_ports = {"5432/tcp": {}}
    database.config.env = ["PW=x", "PATH=/bin"]
    database.network_settings.networks = {"bridge": EndpointSettings(ip_address="172.17.0.2")}
    web = record("web", number=2)
    web.host_config.links = settled_links(["db:data-base"], "web", lambda _: database)
    assert web.host_config.links == ["/db:/web/data-base"]
    (link,) = active_links(web, lambda _: database)
    assert link.hosts_entry == ("172.17.0.2", f"data-base {database.config.hostname} db")
    assert list(link.environment()) == [
        "DATA_BASE_PORT=tcp://172.17.0.2:5432",
        "DATA_BASE_PORT_5432_TCP=tcp://172.17.0.2:5432",
        "DATA_BASE_PORT_5432_TCP_ADDR=172.17.0.2",
        "DATA_BASE_PORT_5432_TCP_PORT=5432",
        "DATA_BASE_PORT_5432_TCP_PROTO=tcp",
        "DATA_BASE_NAME=/web/data-base",
        "DATA_BASE_ENV_PW=x",
    ]


def test_links_need_running_containers() -> None:
    web = record("web", links=["/db:/web/db"])
    with pytest.raises(LadingError, match=r"^Cannot link to a non running container: /db AS /web/"):
        active_links(web, lambda _: record("db", number=2))


def test_links_need_containers() -> None:
    def find(ref: str) -> None:
        raise NotFound(f"No such container: {ref}")

    with pytest.raises(InvalidParameter) as raised:
        settled_links(["db"], "web", find)  # type: ignore[arg-type]
    assert raised.value.message == "could not get container for db: No such container: db"
    assert settled_links(None, "web", find) is None  # type: ignore[arg-type]
