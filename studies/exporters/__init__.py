"""Turning a study's record into a file. An exporter is one file here and one line below."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from studies.errors import WrongInput

if TYPE_CHECKING:
    from studies.record.study import StudyRecord

EXPORTERS = {
    "yaml": "studies.exporters.yaml",
    "csv": "studies.exporters.csv",
    "parquet": "studies.exporters.parquet",
    "json": "studies.exporters.json",
}

CURVES = ("csv", "parquet")  # the exporters with `render_curves`


def export(record: StudyRecord, kind: str, *, curves: bool = False) -> str | bytes:
    """Return the study in this format, one of EXPORTERS: text, or bytes of a binary one.

    curves: a row for each epoch instead of one for each trial; only for CURVES. Raises NothingToExport, WrongInput.
    """
    check_format(kind, curves=curves)
    exporter = importlib.import_module(EXPORTERS[kind])
    render: Callable[[StudyRecord], str | bytes] = exporter.render_curves if curves else exporter.render
    return render(record)


def check_format(kind: str, *, curves: bool = False) -> None:
    """Raise WrongInput for an unknown format, or one that cannot export curves."""
    if kind not in EXPORTERS:
        raise WrongInput(reason=f"--format is {kind!r}; expected one of {', '.join(EXPORTERS)}.")
    if curves and kind not in CURVES:
        raise WrongInput(reason=f"--curves is for --format {' and '.join(CURVES)}; the format is {kind}.")
