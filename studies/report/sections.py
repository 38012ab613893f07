"""A study's report, section by section, in the order in which a person asks: what won, how sure, why, at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.record.diagnose import diagnose
from studies.report import confirmed, findings
from studies.report.document import Document
from studies.report.parameters import interplay, parameters
from studies.report.predictions import predictions
from studies.report.result import answer, theirs_against_ours
from studies.report.training import epochs, learning_curves, outcomes, speed
from studies.report.trials import diagnoses, provenance, trials

if TYPE_CHECKING:
    from studies.record.study import StudyRecord


def document(report: StudyRecord) -> Document:
    """Return the whole report."""
    verdicts = diagnose(report)
    found = findings.importances(report)
    sections = [
        answer(report, verdicts),
        confirmed.section(report),
        theirs_against_ours(report),
        learning_curves(report),
        predictions(report),
        parameters(report, found),
        interplay(report),
        diagnoses(report, verdicts),
        epochs(report, verdicts),
        speed(report),
        outcomes(report),
        trials(report, verdicts),
        provenance(report),
    ]
    spec = report.spec
    dataset = report.data.get("name") or spec.dataset
    subtitle = f"{spec.objective} on {dataset or 'its own data'}; {spec.metric}, to {spec.direction}"
    return Document(spec.name, subtitle, [section for section in sections if section is not None])
