"""The passwords of the three roles: made here, kept in a file of mode 0600, and given to the server as SCRAM hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from pathlib import Path

from studies.errors import WrongInput
from studies.files import write_secret

OWNER, WORKER, VIEWER = "owner", "worker", "viewer"
ROLES = {
    WORKER: "launches studies and runs trials",
    VIEWER: "looks and changes nothing",
    OWNER: "may delete studies, and restores a backup",
}
N_BYTES = 24  # of chance in a password
ITERATIONS = 4096  # PostgreSQL's own; a password of chance needs no more


def passwords(file: Path) -> dict[str, str]:
    """Return the password of each role; one that the file does not have is made and kept there. Raises WrongInput."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if not isinstance(kept, dict) or not all(isinstance(password, str) for password in kept.values()):
            raise ValueError
    except ValueError:
        raise WrongInput(
            reason=f"{file} is not as it was written: expected JSON, a line for each role, such as "
            '"worker": "PASSWORD"; without the file, the next start makes new passwords.'
        ) from None
    whole = {role: kept.get(role) or secrets.token_urlsafe(N_BYTES) for role in ROLES}
    if whole != kept:
        write_secret(file, json.dumps(whole, indent=1).encode())
    return whole


def scram(password: str) -> str:
    """Return what PostgreSQL keeps of a password (RFC 5802), so that it is never sent in a statement."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"
