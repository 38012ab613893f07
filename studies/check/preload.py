"""Imported once by the fork server: torch's compiler, which a first optimizer would import, for seconds, each time.

Not the objective, which may hang or die while it is imported, and would take the fork server along.
"""

import atexit
import importlib
import os
from contextlib import suppress

SERVER = os.getpid()


def _leave() -> None:
    """End the fork server, not what was forked from it, before its libraries print what they think of its end."""
    if os.getpid() == SERVER:
        os._exit(0)


with suppress(Exception):
    importlib.import_module("torch._dynamo")
    importlib.import_module("studies.check.inside")
atexit.register(_leave)
