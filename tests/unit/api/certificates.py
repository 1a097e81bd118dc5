"""Certificates for tests, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HAVE_OPENSSL = shutil.which("openssl") is not None


def _openssl(directory: Path, line: str) -> None:
    subprocess.run(["openssl", *line.split()], cwd=directory, check=True, capture_output=True)


def make_certificates(directory: Path) -> Path:
    """Make a CA, and a certificate of its for 127.0.0.1 that serves both sides."""
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    ca = "-x509 -days 2 -subj /CN=ca -addext keyUsage=keyCertSign -keyout ca-key.pem -out ca.pem"
    own = "-subj /CN=own -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out own.csr"
    signing = "-CA ca.pem -CAkey ca-key.pem -copy_extensions copy -days 2 -out cert.pem"
    _openssl(directory, f"req {curve} {ca}")
    _openssl(directory, f"req {curve} {own}")
    _openssl(directory, f"x509 -req -in own.csr {signing}")
    return directory


def encrypt_key(directory: Path, target: Path) -> None:
    """Write the key again, with a password."""
    line = f"pkey -in key.pem -aes128 -passout pass:secret -out {target}"
    _openssl(directory, line)
