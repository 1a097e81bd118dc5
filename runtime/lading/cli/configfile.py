"""The user's config.json, which is Docker's: credentials, formats, detach keys, proxies."""

from __future__ import annotations

import os

from lading.cli import fastjson
from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ConfigFile:
    """The content of config.json in `directory`, LADING_CONFIG, DOCKER_CONFIG or ~/.docker.

    Empty if there is none.
    """

    def __init__(self, directory: str = "") -> None:
        home = os.environ.get("HOME") or "/"
        chosen = directory or os.environ.get("LADING_CONFIG") or os.environ.get("DOCKER_CONFIG")
        self.directory = chosen or os.path.join(home, ".docker")
        self.path = os.path.join(self.directory, "config.json")
        self.data = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                text = file.read()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return {}
        try:
            data = fastjson.loads(text) if text.strip() else {}
        except ValueError as error:
            raise CliError(f"{self.path} is {error}") from None
        if not isinstance(data, dict):
            raise CliError(f"{self.path} is not a JSON object")
        return data

    def text(self, name: str) -> str:
        """Give a setting that is text, "" if it is not set."""
        value = self.data.get(name)
        return value if isinstance(value, str) else ""

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that the user wants sent with every request."""
        headers = self.data.get("HttpHeaders")
        return {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}

    def proxies(self, host: str) -> dict[str, str]:
        """Give the proxy variables for containers of a daemon, in upper and lower case."""
        table = self.data.get("proxies")
        if not isinstance(table, dict):
            return {}
        chosen = table.get(host) or table.get("default") or {}
        names = {"httpProxy": "HTTP_PROXY", "httpsProxy": "HTTPS_PROXY", "noProxy": "NO_PROXY"}
        names.update({"ftpProxy": "FTP_PROXY", "allProxy": "ALL_PROXY"})
        found: dict[str, str] = {}
        for key, name in names.items():
            if value := chosen.get(key):
                found[name] = found[name.lower()] = str(value)
        return found

    def save(self) -> None:
        """Write the file, readable by the user only, in one step."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        temporary = f"{self.path}.{os.getpid()}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, (fastjson.dumps(self.data, indent="\t") + "\n").encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, os.path.realpath(self.path))
