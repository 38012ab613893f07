"""Imported once by the fork server, so that its workers start with everything imported.

The modules are named in the environment, for a fork server takes no arguments; the objective's comes last. What goes
wrong here is left to the worker that imports the same again and can report it. CUDA survives a fork only when nobody
has touched it before: nothing here may ask torch for a device.
"""

import gc
import importlib
import os
import sys
from contextlib import suppress

from studies.run.launchers import PRELOADED
from studies.run.launchers.eager import COMPILER, spare_the_compiler
from studies.run.launchers.ending import end_quietly

with suppress(BaseException):
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - pathlib would be imported for this alone
    import studies.run.worker  # noqa: F401

    for name in os.environ[PRELOADED].split(","):
        importlib.import_module(name)
    if "torch" in sys.modules and not spare_the_compiler(sys.modules["torch"]):
        importlib.import_module(COMPILER)  # or each worker would import it, for seconds

end_quietly()

# What is here by now is never garbage; left out of the collector's reach, it stays shared between the workers.
gc.freeze()
