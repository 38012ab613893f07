"""From the storage to a `StudyRecord`. What people see is read with `read`; `read_stored` changes nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from studies.errors import RoleMayNot
from studies.names import CONTINUES, DATA, EPOCH, REASON, State
from studies.record.confirmation import read_confirmation
from studies.record.diagnose import judged
from studies.record.study import StudyRecord, TrialRecord, with_repeats
from studies.search.asked import has_asked_all
from studies.search.out_of_memory import OUT_OF_MEMORY
from studies.spec.space import Space
from studies.study import get, space_asked, space_of, spec_of, typed

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from studies.storage import Storage


def read(storage: Storage, name: str) -> StudyRecord:
    """Return the study, after every trial's verdict in the storage has been brought up to date.

    The command line, the notebook and the dashboard all read with it, so their verdicts are the same.
    Raises StudyNotStarted.
    """
    stored = read_stored(storage, name)
    record = judged(stored)
    changed = {
        new.number: new.verdict.attributes
        for old, new in zip(stored.trials, record.trials, strict=True)
        if new is not old and new.verdict is not None
    }
    if changed:
        with suppress(RoleMayNot):  # who may only look sees them all the same
            storage.ledger.annotate(get(storage, name)._study_id, changed)
    return record


def read_stored(storage: Storage, name: str) -> StudyRecord:
    """Return the study as it is stored, each trial with the verdict that it was last given, and write nothing.

    For what needs no verdicts: a launch, a confirmation. Raises StudyNotStarted.
    """
    study = get(storage, name)
    spec, space = spec_of(study), space_of(study)
    stored = study.get_trials(deepcopy=False)
    trials = [trial_of(frozen, space) for frozen in stored]
    # From the trials that continue: an ended one is read once, and a paused one is continued long after it ended.
    by = {trial.continues: trial.number for trial in trials if trial.continues is not None}
    trials = [replace(trial, continued_by=by[trial.number]) if trial.number in by else trial for trial in trials]
    if spec.has_several:
        trials = [trial.following(spec.metric) for trial in trials]
    if spec.repeats > 1:
        trials = with_repeats(trials, spec.direction)
    searched = space if space.parameters else space_asked(stored)
    confirmed = read_confirmation(storage, study.study_name)
    has_newer = typed(storage, study.study_name) != study.study_name
    asked_all = not space.parameters and has_asked_all(stored)
    return StudyRecord(
        spec=spec,
        data=study.user_attrs[DATA],
        trials=trials,
        space=searched,
        confirmation=confirmed,
        has_newer=has_newer,
        has_asked_all=asked_all,
    )


def trial_of(frozen: FrozenTrial, space: Space) -> TrialRecord:
    """Return a trial as Optuna has it in our words, but not which other one continues it."""
    stored = frozen.params or {}
    try:
        params = space.values_of(stored)
    except KeyError:  # it ended, or waits, before everything was suggested
        params = dict(stored)
    attributes = frozen.user_attrs
    value, *others = frozen.values or (None,)
    return TrialRecord(
        number=frozen.number,
        state=State(frozen.state.name.lower()),
        value=value if frozen.state.is_finished() else None,
        params=params if space.parameters else dict(stored),
        epoch=attributes.get(EPOCH),
        curve=dict(sorted(frozen.intermediate_values.items())),  # the storage promises no order
        reason=attributes.get(REASON),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
        continues=attributes.get(CONTINUES),
        continued_by=None,
        attributes=attributes,
        constraints={name: excess for name, excess in frozen.constraints.items() if name != OUT_OF_MEMORY},
        others=tuple(others),
    )
