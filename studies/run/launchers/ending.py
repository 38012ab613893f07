"""How a fork server ends: without a word, for the libraries of torch's compiler would have some on the terminal."""

from __future__ import annotations

import atexit
import os


def end_quietly() -> None:
    """Let this process, and none that is forked from it, leave without what libraries do at an orderly end."""
    server = os.getpid()

    def leave() -> None:
        if os.getpid() == server:
            os._exit(0)

    atexit.register(leave)
