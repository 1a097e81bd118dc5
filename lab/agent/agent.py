"""The program inside a machine that does what its driver asks, over a virtio serial port.

It runs as a plain file with the standard library alone. Requests are answered one after the other:
a machine serves one test. `{"do": NAME, "number": N, …}` is answered by
`{"number": N, "ok": …}` or `{"number": N, "error": SENTENCE}`.
"""

from __future__ import annotations

import base64
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab.agent.frames import pack, unpack

RUNNER = "/run/lading-lab/runner.sock"
_PORTS = Path("/sys/class/virtio-ports")
_RNDADDENTROPY, _RNDRESEEDCRNG = 0x40085203, 0x5207
_CHUNK = 1 << 20
_MOST_OUTPUT = 8 << 20


def port(name: str) -> int:
    """A descriptor of the virtio serial port of that name."""
    while True:
        for entry in _PORTS.iterdir() if _PORTS.is_dir() else ():
            if (entry / "name").read_text().strip() == name:
                return os.open(f"/dev/{entry.name}", os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.05)


def receive(descriptor: int, count: int) -> bytes:
    """Exactly so many bytes, however long they take; nobody at the other end is waited for."""
    parts: list[bytes] = []
    while count:
        part = os.read(descriptor, min(count, _CHUNK))
        if not part:
            time.sleep(0.05)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def send(descriptor: int, data: bytes) -> None:
    """All of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:_CHUNK]) :]


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a line for `sh` in a session of its own, which ends with its time."""
    with subprocess.Popen(
        ["/bin/sh", "-c", request["command"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "HOME": "/root"},
    ) as process:
        try:
            out, err = process.communicate(base64.b64decode(request["stdin"]), request["seconds"])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return {"late": True}
    return {"code": process.returncode, "out": _text(out), "err": _text(err)}


def _text(data: bytes) -> str:
    return data[-_MOST_OUTPUT:].decode(errors="replace")


def write(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write a part of a file, which the first part makes anew."""
    path, flags = request["path"], os.O_WRONLY | os.O_CREAT | os.O_APPEND
    if request["first"]:
        flags |= os.O_TRUNC
    descriptor = os.open(path, flags, request["mode"])
    try:
        os.fchmod(descriptor, request["mode"])
        send(descriptor, base64.b64decode(request["data"]))
    finally:
        os.close(descriptor)
    return {}


def read(request: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a file."""
    descriptor = os.open(request["path"], os.O_RDONLY)
    try:
        data = os.pread(descriptor, _CHUNK, request["offset"])
    finally:
        os.close(descriptor)
    return {"data": base64.b64encode(data).decode()}


def wake(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a restored machine must be told: what time it is, and some bytes nobody else has."""
    time.clock_settime(time.CLOCK_REALTIME, request["time"])
    entropy = base64.b64decode(request["entropy"])
    packed = struct.pack("ii", len(entropy) * 8, len(entropy)) + entropy
    descriptor = os.open("/dev/urandom", os.O_WRONLY)
    try:
        fcntl.ioctl(descriptor, _RNDADDENTROPY, packed)
        fcntl.ioctl(descriptor, _RNDRESEEDCRNG)
    finally:
        os.close(descriptor)
    return {}


def runner(request: Mapping[str, Any]) -> dict[str, Any]:
    """Start the warm runner of scenarios, and wait until it has run its first one."""
    log = open("/var/log/lading-runner.log", "wb")  # noqa: SIM115  the child has it
    with log:
        process = subprocess.Popen(
            request["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=request["cwd"]
        )
    deadline = time.monotonic() + request["seconds"]
    while not os.path.exists(RUNNER):
        if process.poll() is not None or time.monotonic() > deadline:
            words = Path("/var/log/lading-runner.log").read_text(errors="replace")
            process.kill()
            return {"problem": words[-20000:] or "it wrote nothing"}
        time.sleep(0.1)
    return {}


def scenario(request: Mapping[str, Any]) -> dict[str, Any]:
    """Have the warm runner run a scenario."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(request["seconds"])
        try:
            line.connect(RUNNER)
            send(line.fileno(), pack({"scenario": request["scenario"]}))
            # A timeout makes the socket non-blocking below: it is read through itself.
            return unpack(lambda count: _exactly(line, count))
        except TimeoutError:
            return {"late": True}


def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = line.recv(count - len(data))
        if not part:
            raise ConnectionError("the runner of scenarios ended")
        data += part
    return data


def shell(request: Mapping[str, Any]) -> dict[str, Any]:
    """Start a shell on a terminal of its own, joined to the second port until it ends."""
    child, terminal = pty.fork()
    if not child:
        os.chdir("/root")
        os.execve("/bin/bash", ["bash", "-l"], {**os.environ, "TERM": request["term"]})
    size = struct.pack("HHHH", request["rows"], request["columns"], 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    threading.Thread(target=_join, args=(terminal, port("lading.shell")), daemon=True).start()
    return {}


def _join(terminal: int, line: int) -> None:
    with suppress(OSError):
        while True:
            ready, _, _ = select.select([terminal, line], [], [])
            if terminal in ready:
                send(line, pack({"data": base64.b64encode(os.read(terminal, 4096)).decode()}))
            if line in ready:
                send(terminal, os.read(line, 4096))
    send(line, pack({"over": True}))
    os.close(line)


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "run": run,
    "write": write,
    "read": read,
    "wake": wake,
    "runner": runner,
    "scenario": scenario,
    "shell": shell,
}


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what is asked; a failure is told, and the agent goes on."""
    action = _ACTIONS.get(request.get("do", ""))
    if action is None:
        return {"error": f"the agent does not know how to {request.get('do')}"}
    try:
        return {"ok": action(request)}
    except (OSError, KeyError, ValueError, EOFError) as error:
        return {"error": f"{request['do']}: {error}"}


def main() -> None:
    """Answer requests for as long as the machine runs."""
    descriptor = port("lading.agent")
    send(descriptor, pack({"ready": os.uname().release}))
    while True:
        request = unpack(lambda count: receive(descriptor, count))
        send(descriptor, pack({"number": request.get("number"), **answer(request)}))


if __name__ == "__main__":
    main()
