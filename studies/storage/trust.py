"""Why a server's certificate was not accepted: libpq says no more than that it was not."""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Mapping

import psycopg2.extensions

from studies.errors import CertificateRefused
from studies.settings import masked

SSL_REQUEST = struct.pack("!II", 8, 80877103)
TIMEOUT_S = 10.0

# What to do about what OpenSSL or libpq says, by a part of it.
ADVICE = {
    "does not match host name": "use a name that the certificate has, or add this one on the server: "
    "`studies storage serve --name {host}`",
    "expired": "set this machine's clock if it is ahead, or start `studies storage serve` again on the server, which "
    "renews it",
    "not yet valid": "set this machine's clock, which is behind the server's",
    "does not exist": "copy the server's root.crt to that path: `studies storage serve --show` says on the server "
    "where it is",
    "could not read": "the file is broken, or not yours to read: copy the server's root.crt to that path again, "
    "`studies storage serve --show` says on the server where it is",
    "": "sslrootcert in the address is another server's: copy root.crt again, `studies storage serve --show` says on "
    "the server where it is",
}


def refused(url: str, said: str) -> CertificateRefused | None:
    """Return the error that explains what libpq said, if it was about the certificate."""
    if "certificate" not in said or "client certificate" in said:
        return None
    given = psycopg2.extensions.parse_dsn(url)
    reason = re.sub(r"^connection to server at .*? failed: |\s+Either provide the file.*", "", said, flags=re.DOTALL)
    if "verify failed" in reason:
        reason = _asked_again(given) or reason
    todo = next(todo for part, todo in ADVICE.items() if part in reason)
    return CertificateRefused(url=masked(url), reason=reason, todo=todo.format(host=given.get("host", "NAME")))


def _asked_again(given: Mapping[str, str]) -> str | None:
    """Return what OpenSSL has against the certificate, asked for without libpq in between."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(given.get("sslrootcert"))
        with socket.create_connection((given["host"], int(given.get("port", 5432))), TIMEOUT_S) as client:
            client.sendall(SSL_REQUEST)
            if client.recv(1) == b"S":
                context.wrap_socket(client).close()
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message)
    except (OSError, KeyError, ValueError):
        return None
    return None
