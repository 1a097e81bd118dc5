"""TLS on the API's TCP sockets: the options and the default files that Docker's daemon has."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from lading.api.options import DaemonOptions, UsageError


def tls_context(chosen: DaemonOptions) -> ssl.SSLContext | None:
    """Make what TCP connections are secured with; None where the options ask for no TLS.

    Files that are not named are ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH or ~/.docker. With
    `tlsverify` a client has to show a certificate that the CA signed. Raises UsageError for a file
    that cannot be used, and for files that would do nothing.
    """
    if not (chosen.tls or chosen.tlsverify):
        if chosen.tlscacert or chosen.tlscert or chosen.tlskey:
            raise UsageError(
                "tlscacert, tlscert and tlskey have no effect alone: give tlsverify (or tls) too"
            )
        return None
    directory = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    certificate = Path(chosen.tlscert or directory / "cert.pem")
    key = Path(chosen.tlskey or directory / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(_there(certificate), _there(key), password=_no_password(key))
    except OSError as error:
        raise UsageError(f"cannot use {certificate} with {key} for TLS: {_why(error)}") from None
    if chosen.tlsverify:
        authority = Path(chosen.tlscacert or directory / "ca.pem")
        try:
            context.load_verify_locations(_there(authority))
        except OSError as error:
            raise UsageError(f"cannot use {authority} as CA for TLS: {_why(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _there(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"TLS needs {path}, which is not there; name another by --tls* options")
    return path


def _no_password(key: Path) -> ssl._PasswordType:
    """Refuse a key that needs a password, rather than ask for one on the terminal."""

    def refuse() -> str:
        raise UsageError(f"the key {key} is encrypted: TLS needs one without a password")

    return refuse


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM in it").lower().replace("_", " ")
    return (error.strerror or str(error)).lower()
