"""Imported once by the fork server, so that its workers start with everything imported.

The environment names the modules, since a fork server takes no arguments; the objective's comes last. What goes wrong
here is left to the worker, which imports the same again and can say so. CUDA survives a fork only when nobody has
touched it before: nothing here may ask torch for a device. What an objective asks at its import is answered by NVML.
"""

import gc
import importlib
import os
import sys
from contextlib import suppress

from studies.own import import_own
from studies.run.launchers import PRELOADED
from studies.run.launchers.eager import COMPILER, spare_the_compiler
from studies.run.launchers.forkserver import settle
from studies.run.source import source_of

os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # what torch.cuda.is_available() is answered by

with suppress(BaseException):
    import studies.run.inheritance
    import studies.run.worker  # noqa: F401

    *ours, objective = os.environ[PRELOADED].split(",")
    for name in ours:
        importlib.import_module(name)
    import_own(objective)
    source_of(objective)  # now, from the files that were imported: its workers find it remembered
    if "torch" in sys.modules and not spare_the_compiler(sys.modules["torch"]):
        importlib.import_module(COMPILER)  # or each worker would import it, for seconds

settle()

# What is here by now is never garbage; left out of the collector's reach, it stays shared between the workers.
gc.freeze()
