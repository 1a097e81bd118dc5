"""Registry credentials: in config.json, or in a credential helper, as Docker keeps them.

A helper is a program `docker-credential-NAME` that reads a request from stdin and answers on stdout
(https://github.com/docker/docker-credential-helpers).
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from lading.cli import fastjson
from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lading.cli.configfile import ConfigFile

HUB = "https://index.docker.io/v1/"
TOKEN_USER = "<token>"  # noqa: S105 - the name that helpers give to a token


def server_key(domain: str) -> str:
    """Give the name that a registry's credentials are kept under: its host, or Hub's address."""
    if domain in ("", "docker.io", "index.docker.io", "registry-1.docker.io"):
        return HUB
    host = domain.removeprefix("https://").removeprefix("http://")
    return HUB if host == "index.docker.io/v1/" else host.partition("/")[0]


def _helper(config: ConfigFile, server: str) -> str:
    helpers = config.data.get("credHelpers") or {}
    return str(helpers.get(server) or config.text("credsStore"))


def _ask_helper(helper: str, verb: str, request: str) -> str:
    """Run a credential helper; raises CliError if there is none or it fails."""
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, verb], input=request, capture_output=True, text=True)
    except OSError:
        raise CliError(
            f'error getting credentials - err: exec: "{program}": '
            "executable file not found in $PATH"
        ) from None
    if done.returncode:
        raise CliError(f"{program} {verb} failed: {done.stdout.strip() or done.stderr.strip()}")
    return done.stdout


def find(config: ConfigFile, server: str) -> dict[str, str]:
    """Give the credentials for a registry as the API's AuthConfig; {} if there are none."""
    if helper := _helper(config, server):
        try:
            answer = fastjson.loads(_ask_helper(helper, "get", server))
        except CliError as error:
            if "credentials not found" in error.message:
                return {}
            raise
        user, secret = answer.get("Username", ""), answer.get("Secret", "")
        if user == TOKEN_USER:
            return {"identitytoken": secret, "serveraddress": server}
        return {"username": user, "password": secret, "serveraddress": server}
    entry = (config.data.get("auths") or {}).get(server) or _by_host(config, server)
    return _read_entry(entry, server) if entry else {}


def _by_host(config: ConfigFile, server: str) -> dict[str, str]:
    """Look among entries that were written with a scheme or a path."""
    for name, entry in (config.data.get("auths") or {}).items():
        if server_key(name) == server:
            return dict(entry)
    return {}


def _read_entry(entry: dict[str, str], server: str) -> dict[str, str]:
    found = {"serveraddress": server}
    if encoded := entry.get("auth"):
        user, _, password = a2b_base64(encoded).decode("utf-8", "replace").partition(":")
        found.update(username=user, password=password.strip("\0"))
    for key in ("username", "password", "identitytoken", "registrytoken"):
        if entry.get(key):
            found[key] = entry[key]
    return found


def keep(config: ConfigFile, server: str, user: str, password: str, token: str) -> str:
    """Keep credentials that a registry has accepted.

    Gives the file they are in, or "" for a helper.
    """
    if helper := _helper(config, server):
        secret = {"ServerURL": server, "Username": user, "Secret": password}
        if token:
            secret.update(Username=TOKEN_USER, Secret=token)
        _ask_helper(helper, "store", fastjson.dumps(secret))
        config.data.setdefault("auths", {})[server] = {}
        config.save()
        return ""
    encoded = b2a_base64(f"{user}:{password if not token else ''}".encode(), newline=False).decode()
    entry = {"auth": encoded}
    if token:
        entry["identitytoken"] = token
    config.data.setdefault("auths", {})[server] = entry
    config.save()
    return config.path


def forget(config: ConfigFile, server: str) -> bool:
    """Remove a registry's credentials; False if there were none."""
    if helper := _helper(config, server):
        _ask_helper(helper, "erase", server)
    names = [name for name in config.data.get("auths") or {} if server_key(name) == server]
    for name in names:
        del config.data["auths"][name]
    if names:
        config.save()
    return bool(names)


def header(auth: object) -> str:
    """Encode credentials for X-Registry-Auth and X-Registry-Config (base64, URL alphabet)."""
    encoded = b2a_base64(fastjson.dumps(auth).encode(), newline=False).decode()
    return encoded.replace("+", "-").replace("/", "_")


def all_known(config: ConfigFile) -> dict[str, dict[str, str]]:
    """Give all credentials, as builds need them, by registry."""
    servers = {server_key(name): name for name in config.data.get("auths") or {}}
    servers.update({name: name for name in config.data.get("credHelpers") or {}})
    found = {name: find(config, key) for key, name in servers.items()}
    return {name: auth for name, auth in found.items() if auth}
