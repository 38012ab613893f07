"""Imported once by the fork server, so that its workers start with everything imported.

The objective's module is named in the environment, for a fork server takes names of modules only. What goes wrong
here is left to the worker that imports the same again, where it can be told to somebody. CUDA survives a fork only
when nobody has touched it before: nothing here may ask torch for a device.
"""

import gc
import importlib
import os
import sys
from contextlib import suppress

from studies.launchers import PRELOADED
from studies.launchers.ending import end_quietly

with suppress(BaseException):
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - pathlib would be imported for this alone
    import studies.cli
    import studies.worker  # noqa: F401

    importlib.import_module(os.environ[PRELOADED])
    if "torch" in sys.modules:  # its compiler, which a first optimizer would import, for seconds, in each worker
        importlib.import_module("torch._dynamo")

end_quietly()

# What is here by now is never garbage; left out of the collector's reach, it stays shared between the workers.
gc.freeze()
