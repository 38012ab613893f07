"""Imported once by the fork server: torch's compiler, which a first optimizer would import, for seconds, each time.

Not the objective, which may hang or die while it is imported, and would take the fork server along.
"""

import importlib
from contextlib import suppress

from studies.run.launchers.forkserver import settle

with suppress(Exception):
    importlib.import_module("torch._dynamo")
    importlib.import_module("studies.check.inside")
settle()
