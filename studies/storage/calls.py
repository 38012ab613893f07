# ruff: noqa: S608 - nothing but the constants of this package is put into a statement
"""How the functions of `functions` are called: one statement for one operation, with only the arguments it has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from studies.storage.functions import VERSION

# What is new in a study.
CHANGES = f"""
SELECT * FROM studies.changes_{VERSION}(
    %(study_id)s, %(after)s, %(watched)s::int[], %(signatures)s::bigint[], %(known)s::int[], %(own)s::int[])"""

# Whether anything waits in its queue.
IS_WAITING = f"SELECT studies.is_waiting_{VERSION}(%(study_id)s, %(after)s, %(watched)s::int[])"

# A new trial.
CREATE = f"""
SELECT trial_id, number
FROM studies.create_trial_{VERSION}(%(study_id)s, %(after)s, %(last_number)s, %(state)s, %(start)s)"""

# The next trial to run.
CLAIM = f"""
SELECT * FROM studies.claim_trial_{VERSION}(
    %(study_id)s, %(after)s, %(last_number)s, %(n_done)s, %(unfinished)s::int[], %(n_trials)s,
    %(start)s, %(worker_id)s)"""

# One report of an own trial.
REPORT = f"SELECT studies.report_{VERSION}(%(trial_id)s, %(step)s, %(value)s, %(value_type)s)"


def write(given: Iterable[str]) -> str:
    """Return the call that writes to a trial the arguments of these names."""
    return f"SELECT studies.write_trial_{VERSION}(%(trial_id)s, {_named(tuple(given))})"


def rungs(write: str) -> str:
    """Return the call that carries out a write and then reads the rungs."""
    return f"SELECT * FROM studies.rungs_{VERSION}(%(study_id)s, %(after_attribute)s, ({write}))"


def create_from(given: Iterable[str]) -> str:
    """Return the call that creates a trial with the arguments of these names."""
    return f"""
SELECT trial_id, number, studies.write_trial_{VERSION}(trial_id, {_named(tuple(given))})
FROM studies.create_trial_{VERSION}(%(study_id)s, %(after)s, %(last_number)s, %(first_state)s, %(start)s)"""


@lru_cache
def _named(given: tuple[str, ...]) -> str:
    return ", ".join(f"_{name} => %({name})s{_TYPES.get(name, '')}" for name in given if name in _ARGUMENTS)


_TYPES = {
    "param_values": "::float8[]",
    "reported": "::float8[]",
    "reported_types": "::trialintermediatevaluetype[]",
    "finals": "::float8[]",
    "final_types": "::trialvaluetype[]",
}
_ARGUMENTS = (
    "soon", "start", "ending", "complete", "param_names", "param_values", "param_distributions", "user_keys",
    "user_values", "system_keys", "system_values", "steps", "reported", "reported_types", "finals", "final_types",
)  # fmt: skip
