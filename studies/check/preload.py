"""Imported once by the fork server of a check, so that the processes it forks start with everything imported.

Not the objective, which may hang or die while it is imported, and would take the fork server along.
"""

import atexit
import importlib
import os
from contextlib import suppress

importlib.import_module("studies.check.inside")
with suppress(ImportError):  # an objective may do without torch
    importlib.import_module("torch._dynamo")  # what torch's first optimizer would import, for seconds, in each process

# The compiler's libraries complain at an orderly end, on the terminal, of what they themselves leak.
atexit.register(os._exit, 0)
