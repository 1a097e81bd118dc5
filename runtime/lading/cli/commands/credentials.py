"""`lading login` and `lading logout`."""

from __future__ import annotations

import os
import sys

from lading.cli import credentials
from lading.cli.command import STDIN, Command, Context
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, STRING


def _ask(question: str, *, secret: bool) -> str:
    if not os.isatty(STDIN):
        raise CliError("Error: Cannot perform an interactive login from a non TTY device")
    if secret:
        from getpass import getpass

        return getpass(question)
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _given(context: Context, options: Options) -> tuple[str, str]:
    """Give the user name and password that the command line brings, "" for what it does not."""
    user, password = options.text("username"), options.text("password")
    if password:
        context.error("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    if options.on("password-stdin"):
        if options.given("password"):
            raise CliError("--password and --password-stdin are mutually exclusive")
        if not user:
            raise CliError("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    return user, password


def login(context: Context, options: Options) -> int:
    """Have a registry check credentials and keep them."""
    given = options.args[0] if options.args else ""
    server = credentials.server_key(given)
    user, password = _given(context, options)
    known = {} if user or password else credentials.find(context.config, server)
    if known.get("password") or known.get("identitytoken"):
        context.out("Authenticating with existing credentials...\n")
        auth = known
    else:
        user = user or _ask("Username: ", secret=False)
        if not user:
            raise CliError("Error: Non-null Username Required")
        password = password or _ask("Password: ", secret=True)
        if not password:
            raise CliError("Error: Password Required")
        auth = {"username": user, "password": password, "serveraddress": server}
    answer = context.client.post("/auth", body=auth) or {}
    kept_in = credentials.keep(
        context.config,
        server,
        auth.get("username", ""),
        auth.get("password", ""),
        answer.get("IdentityToken", "") or auth.get("identitytoken", ""),
    )
    if kept_in:
        context.error(
            f"\nWARNING! Your credentials are stored unencrypted in '{kept_in}'.\n"
            "Configure a credential helper to remove this warning.\n\n"
        )
    if status := answer.get("Status"):
        context.out(f"{status}\n")
    return 0


def logout(context: Context, options: Options) -> int:
    """Forget the credentials for a registry."""
    given = options.args[0] if options.args else ""
    server = credentials.server_key(given)
    context.out(f"Removing login credentials for {given or server}\n")
    if not credentials.forget(context.config, server):
        context.error(f"Not logged in to {given or server}\n")
    return 0


COMMANDS = {
    "login": Command(
        "login",
        "[OPTIONS] [SERVER]",
        "Authenticate to a registry",
        login,
        arguments=(0, 1),
        flags=(
            Flag("password", "p", STRING, "Password; seen by others in the process list"),
            Flag("password-stdin", "", BOOL, "Read the password from stdin"),
            Flag("username", "u", STRING, "User name"),
        ),
        about="Without a server, Docker Hub is meant. Credentials are kept in Docker's "
        "config.json, or in the credential helper that it names.",
        examples=(
            ("login registry.example.com", "asks for name and password"),
            ("login -u me --password-stdin localhost:5000 < secret", "from a file"),
        ),
    ),
    "logout": Command(
        "logout",
        "[SERVER]",
        "Log out from a registry",
        logout,
        arguments=(0, 1),
        about="Without a server, Docker Hub is meant.",
    ),
}
