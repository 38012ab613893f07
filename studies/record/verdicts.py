"""Every trial's verdict, kept beside it: a first one when it ends, and what all trials together say when it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studies.names import VERDICT
from studies.record.diagnose import ENDED, Verdict, diagnose, first_verdict
from studies.record.study import StudyRecord, read_record
from studies.study import get

if TYPE_CHECKING:
    from studies.record.study import Trial
    from studies.spec import StudySpec
    from studies.storage import Storage
    from studies.storage.ledger import Ledger


def read_judged(storage: Storage, name: str) -> StudyRecord:
    """Return the study after every trial's verdict in the storage has been brought up to date.

    Raises StudyNotStarted.
    """
    report = read_record(storage, name)
    kept = {number: attributes_of(verdict) for number, verdict in diagnose(report).items()}
    changed = {
        trial.number: kept[trial.number]
        for trial in report.trials
        if trial.number in kept and not kept[trial.number].items() <= trial.attributes.items()
    }
    if changed:
        storage.ledger.annotate(get(storage, name)._study_id, changed)
    trials = [
        replace(trial, attributes=trial.attributes | changed[trial.number]) if trial.number in changed else trial
        for trial in report.trials
    ]
    return replace(report, trials=trials)


def first_attributes(spec: StudySpec, data: dict[str, Any], trial: Trial) -> dict[str, str]:
    """Return the first verdict of a trial that ends, as the user attributes to keep. data: see StudyRecord."""
    return attributes_of(first_verdict(trial, spec, data)) if trial.state in ENDED else {}


def attributes_of(verdict: Verdict) -> dict[str, str]:
    """Return a verdict as user attributes, an empty one too, so that it takes the place of an older one."""
    return {VERDICT: verdict.word, f"{VERDICT}_evidence": verdict.evidence, f"{VERDICT}_advice": verdict.advice}


def counts(ledger: Ledger, study_id: int) -> dict[str, int]:
    """Return how many trials have each verdict, the most frequent first; one that a continuation replaced has none."""
    rows = ledger.read(
        """SELECT regexp_replace(a.value_json::json #>> '{}', '\\d+$', 'k'), count(*)
             FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = %s
            WHERE t.study_id = %s AND NOT EXISTS (
                SELECT FROM trial_user_attributes c WHERE c.trial_id = t.trial_id AND c.key = 'continued_by')
            GROUP BY 1 ORDER BY 2 DESC, 1""",
        (VERDICT, study_id),
    )
    return dict(rows)
