"""Imported once by the fork server, after the objective: what torch itself puts off until a first optimizer is made."""

import sys
from contextlib import suppress

if "torch" in sys.modules:
    with suppress(Exception):
        import torch._dynamo  # noqa: F401 - takes seconds, in each process that has not done it
