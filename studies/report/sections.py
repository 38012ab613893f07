"""A study's report, section by section, in the order in which a person asks: what won, how sure, why, at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.report import confirmed, findings
from studies.report.answer import answer, given_against_found
from studies.report.document import Document
from studies.report.every_trial import diagnoses, provenance, trials
from studies.report.parameters import interplay, parameters
from studies.report.predictions import predictions
from studies.report.training import epochs, learning_curves, outcomes, speed

if TYPE_CHECKING:
    from studies.record.study import StudyRecord


def document(record: StudyRecord) -> Document:
    """Return the whole report."""
    verdicts = record.verdicts
    compared = findings.compared(record)
    shares = findings.importances(record, compared)
    sections = [
        answer(record, verdicts),
        confirmed.section(record),
        given_against_found(record),
        learning_curves(record),
        predictions(record),
        parameters(record, compared, shares),
        interplay(record, compared),
        diagnoses(record, verdicts),
        epochs(record, verdicts),
        speed(record),
        outcomes(record),
        trials(record, verdicts),
        provenance(record),
    ]
    spec = record.spec
    dataset = record.data.get("name") or spec.dataset
    subtitle = f"{spec.objective} on {dataset or 'its own data'}; {spec.aim}"
    return Document(record.typed, subtitle, [section for section in sections if section is not None])
