"""The unit with which systemd keeps a team's server running for a user, without root."""

from __future__ import annotations

import sys
from collections.abc import Sequence

TEMPLATE = """\
# studies storage serve ... --print-unit > ~/.config/systemd/user/studies-storage.service
# systemctl --user enable --now studies-storage
# loginctl enable-linger    # it starts with the machine and stays when you log out
[Unit]
Description=PostgreSQL of a team's studies

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStopSec=90

[Install]
WantedBy=default.target
"""


def unit(arguments: Sequence[str]) -> str:
    """Return a user unit that runs `studies storage serve` with these arguments."""
    words = [sys.executable, "-m", "studies", "storage", "serve", *arguments]
    return TEMPLATE.format(command=" ".join(map(_quoted, words)))


def _quoted(word: str) -> str:
    """Return a word as systemd reads it back: it has quotes, backslashes, % specifiers and $ variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped.replace("/", "").replace("-", "").replace(".", "").isalnum() else f'"{escaped}"'
