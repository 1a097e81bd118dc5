from __future__ import annotations

import asyncio
import json
import logging

import pytest

from lading.errors import Conflict, NotModified

from .conftest import Served, until
from .fakes import container

JSON = {"Content-Type": "application/json"}


async def test_ping(served: Served) -> None:
    for method, body in (("GET", b"OK"), ("HEAD", b"")):
        async with served.client.request(method, "http://lading/_ping") as answer:
            assert answer.status == 200
            assert await answer.read() == body
            assert answer.headers["Api-Version"] == "1.51"
            assert answer.headers["Builder-Version"] == "1"
            assert answer.headers["Ostype"] == "linux"
            assert answer.headers["Docker-Experimental"] == "false"
            assert answer.headers["Server"].startswith("Lading/")


async def test_version_is_negotiated_on_every_path(served: Served) -> None:
    status, answer = await served.ask("GET", "/v1.99/_ping")
    assert status == 400
    assert "too new" in answer["message"]
    assert (await served.ask("GET", "/v1.24/version"))[1]["MinAPIVersion"] == "1.24"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nope"), ("GET", "/v1.51/nope"), ("PATCH", "/info")]
)
async def test_unknown_routes(served: Served, method: str, path: str) -> None:
    assert await served.ask(method, path) == (404, {"message": "page not found"})


async def test_what_is_not_built_says_so(served: Served) -> None:
    status, answer = await served.ask("POST", "/session")
    assert status == 501
    assert "Session" in answer["message"]


@pytest.mark.parametrize(
    "path", ["/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs"]
)
async def test_no_swarm(served: Served, path: str) -> None:
    status, answer = await served.ask("GET", path)
    assert status == 503
    assert answer["message"].startswith("This node is not a swarm manager.")


async def test_no_plugins(served: Served) -> None:
    assert await served.ask("GET", "/plugins") == (200, [])
    assert (await served.ask("GET", "/plugins/x/json"))[0] == 404
    assert (await served.ask("POST", "/plugins/pull"))[0] == 503


async def test_errors_have_their_status(served: Served) -> None:
    served.engine.containers.failures["remove"] = Conflict("it runs")
    assert await served.ask("DELETE", "/containers/x") == (409, {"message": "it runs"})
    assert await served.ask("GET", "/containers/x/json") == (
        404,
        {"message": "No such container: x"},
    )


async def test_not_modified_has_no_body(served: Served) -> None:
    served.engine.containers.failures["start"] = NotModified("it runs already")
    assert await served.ask("POST", "/containers/x/start") == (304, None)


async def test_a_bug_is_one_sentence_and_a_logged_traceback(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.engine.containers.failures["start"] = ZeroDivisionError("secret detail")
    with caplog.at_level(logging.ERROR):
        status, answer = await served.ask("POST", "/containers/x/start")
    assert status == 500
    assert "Traceback" not in answer["message"]
    assert "secret" not in answer["message"]
    assert "ZeroDivisionError: secret detail" in caplog.text


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"{", JSON, "invalid JSON: "),
        (b"", JSON, "invalid JSON: got EOF while reading request body"),
        (
            b"{}",
            {"Content-Type": "text/plain"},
            "unsupported Content-Type header (text/plain): must",
        ),
        (b'{"Image": 5}', JSON, "invalid JSON: Expected `str`, got `int` - at `$.Image`"),
        (b'{"HostConfig": {"Memory": "5"}}', JSON, "invalid JSON: Expected `int`, got `str`"),
        (b"[]", JSON, "invalid JSON: "),
        (b'{"Image": "\xff"}', JSON, "invalid JSON: "),
        (b"[" * 100_000, JSON, "invalid JSON: "),
    ],
)
async def test_faulty_bodies(
    served: Served, body: bytes, headers: dict[str, str], message: str
) -> None:
    status, answer = await served.ask("POST", "/containers/create", data=body, headers=headers)
    assert status == 400
    assert answer["message"].startswith(message)


async def test_unknown_fields_and_nulls_are_no_fault(served: Served) -> None:
    body = {"Image": "busybox", "NoSuchField": 1, "HostConfig": {"Memory": None, "Binds": None}}
    status, answer = await served.ask("POST", "/containers/create?name=n", json=body)
    assert (status, answer) == (201, {"Id": "f" * 64, "Warnings": []})
    _, name, config, host_config, _, _ = served.engine.containers.calls[-1]
    assert (name, config.image, host_config.memory) == ("n", "busybox", 0)


async def test_parameters(served: Served) -> None:
    await served.ask("POST", "/containers/x/stop?t=-1&signal=SIGINT")
    assert served.engine.containers.calls[-1] == ("stop", "x", -1, "SIGINT")
    status, answer = await served.ask("POST", "/containers/x/stop?t=soon")
    assert status == 400
    assert '"t"' in answer["message"]


@pytest.mark.parametrize(
    "filters", ['{"label": ["a=b", "c"]}', '{"label": {"a=b": true, "c": true}}']
)
async def test_both_forms_of_filters(served: Served, filters: str) -> None:
    await served.ask("GET", "/containers/json", params={"filters": filters, "all": "1"})
    options = served.engine.containers.calls[-1][1]
    assert options == {"all": True, "limit": 0, "filters": {"label": ["a=b", "c"]}}


@pytest.mark.parametrize("filters", ["nope", "[]", '{"label": "a"}'])
async def test_malformed_filters(served: Served, filters: str) -> None:
    status, answer = await served.ask("GET", "/containers/json", params={"filters": filters})
    assert status == 400
    assert answer["message"].startswith("invalid filter")


async def test_wait_sends_its_head_before_the_end(served: Served) -> None:
    async with served.client.post("http://lading/containers/x/wait?condition=next-exit") as answer:
        assert answer.status == 200
        assert served.engine.containers.calls[-1] == ("wait", "x", "next-exit")
        served.engine.containers.ended.set()
        assert await answer.json() == {"StatusCode": 3}


async def test_wait_for_an_unknown_container(served: Served) -> None:
    served.engine.containers.failures["wait"] = Conflict("no")
    assert await served.ask("POST", "/containers/x/wait") == (409, {"message": "no"})


async def test_a_client_that_waits_no_more_is_forgotten(served: Served) -> None:
    reader, writer = await served.open()
    writer.write(b"POST /containers/x/wait HTTP/1.1\r\nHost: l\r\nContent-Length: 0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await until(lambda: not any("until_ended" in repr(task) for task in asyncio.all_tasks()))


async def test_image_mounts_are_not_for_older_clients(served: Served) -> None:
    mounts = [{"Type": "image", "Source": "data", "Target": "/x"}]
    body = {"Image": "box", "HostConfig": {"Mounts": mounts}}
    status, answer = await served.ask("POST", "/v1.47/containers/create", json=body)
    assert (status, answer) == (
        400,
        {"message": 'Mount type "Image" needs API v1.48 or newer'},
    )
    status, _ = await served.ask("POST", "/v1.48/containers/create", json=body)
    assert status == 201


async def test_logs(served: Served) -> None:
    box = served.engine.containers.known["x"] = container()
    served.engine.containers.log = [b"one\n", b"two\n"]
    url = "http://lading/containers/x/logs?stdout=1&since=12.5&tail=3&follow=1"
    async with served.client.get(url) as answer:
        assert answer.headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
        assert await answer.read() == b"one\ntwo\n"
    _, ref, options = served.engine.containers.calls[-1]
    assert ref == box.id
    assert (options.stdout, options.stderr, options.follow) == (True, False, True)
    assert (options.since, options.tail) == (12_500_000_000, 3)


async def test_logs_of_no_stream(served: Served) -> None:
    served.engine.containers.known["x"] = container()
    status, answer = await served.ask("GET", "/containers/x/logs")
    assert (status, answer["message"]) == (
        400,
        "Bad parameters: you must choose at least one stream",
    )


async def test_a_follower_that_leaves_ends_its_log(served: Served) -> None:
    fake = served.engine.containers
    fake.known["x"] = container()
    fake.log, fake.log_follows = [b"one\n"], asyncio.Event()
    reader, writer = await served.open()
    writer.write(b"GET /containers/x/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: l\r\n\r\n")
    await reader.readuntil(b"one\n")
    writer.close()
    await until(lambda: fake.log_closed)


async def test_events(served: Served) -> None:
    bus = served.engine.events
    bus.publish("container", "start", "c1", {"image": "busybox", "name": "n"})
    async with served.client.get("http://lading/events?since=1&filters={}") as answer:
        past = json.loads(await answer.content.readline())
        assert (past["Type"], past["Action"], past["Actor"]["ID"]) == ("container", "start", "c1")
        assert (past["status"], past["id"], past["from"]) == ("start", "c1", "busybox")
        assert past["scope"] == "local"
        assert past["timeNano"] // 10**9 == past["time"]
        bus.publish("volume", "create", "v", {"driver": "local"})
        assert "status" not in json.loads(await answer.content.readline())


async def test_archives_are_read_from_a_thread(served: Served) -> None:
    content = bytes(range(256)) * 8192
    async with served.client.put(
        "http://lading/containers/x/archive?path=/tmp&noOverwriteDirNonDir=true", data=content
    ) as answer:
        assert answer.status == 200
    name, ref, path, received, options = served.engine.containers.calls[-1]
    assert (name, ref, path) == ("put_archive", "x", "/tmp")
    assert received == content
    assert options == {"no_overwrite_dir_non_dir": True, "copy_uid_gid": False}


async def test_a_client_that_waits_for_100_gets_it(served: Served) -> None:
    reader, writer = await served.open()
    writer.write(
        b"PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: l\r\nExpect: 100-continue\r\n"
        b"Content-Length: 3\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_one_connection_serves_many_requests(served: Served) -> None:
    reader, writer = await served.open()
    for _ in range(3):
        writer.write(b"POST /containers/x/start HTTP/1.1\r\nHost: l\r\nContent-Length: 0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    writer.close()
