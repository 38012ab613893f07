"""A study's confirmation, read back: the best few under fresh seeds, as far as `studies confirm` has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.names import CONFIRMS, SPEC, confirmation
from studies.search.race import Confirmation, contenders, stand
from studies.study import find, spec_of

if TYPE_CHECKING:
    from studies.storage import Storage


def read_confirmation(storage: Storage, name: str) -> Confirmation | None:
    """Return how the contenders of the study that is stored under this name stand; None before `studies confirm`."""
    found = find(storage, confirmation(name))
    if found is None or SPEC not in found.user_attrs:
        return None
    race = found.user_attrs[CONFIRMS]
    field = contenders(found.get_trials(deepcopy=False), race["published"])
    spec = spec_of(found)
    return stand(field, spec.direction.sign, len(race["seeds"]), len(spec.metrics))
