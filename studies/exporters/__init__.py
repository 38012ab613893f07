"""Turning a report into a file. An exporter is one file here and one line below."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from studies.errors import WrongInput
from studies.files import write_whole

if TYPE_CHECKING:
    from studies.report.summary import StudyReport

EXPORTERS = {
    "yaml": "studies.exporters.yaml",
    "csv": "studies.exporters.csv",
    "parquet": "studies.exporters.parquet",
    "json": "studies.exporters.json",
}

CURVES = ("csv", "parquet")  # the exporters with `render_curves`


def export(report: StudyReport, kind: str, *, curves: bool = False) -> str | bytes:
    """Return the report in this format, one of EXPORTERS: text, or bytes of a binary one.

    curves: a row for each epoch instead of one for each trial; of CURVES alone. Raises NothingToExport, WrongInput.
    """
    check_format(kind, curves=curves)
    exporter = importlib.import_module(EXPORTERS[kind])
    render: Callable[[StudyReport], str | bytes] = exporter.render_curves if curves else exporter.render
    return render(report)


def check_format(kind: str, *, curves: bool = False) -> None:
    """Raise WrongInput for a format that there is not, or not of curves."""
    if kind not in EXPORTERS:
        raise WrongInput(reason=f"--format is {kind!r}; expected one of {', '.join(EXPORTERS)}.")
    if curves and kind not in CURVES:
        raise WrongInput(reason=f"--curves is for --format {' and '.join(CURVES)}; the format is {kind}.")


def write_all(directory: Path, files: Iterable[tuple[str, str | bytes]]) -> int:
    """Write files by name into a directory, which is made; return how many. Raises WrongInput."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"Cannot make the directory {directory} ({error.strerror}); choose another with -o."
        raise WrongInput(reason=reason) from None
    n_files = 0
    for n_files, (name, content) in enumerate(files, start=1):  # noqa: B007 - it is returned
        write_file(directory / name, content)
    return n_files


def write_file(path: Path, content: str | bytes) -> None:
    """Write what a person asked for, whole or not at all. Raises WrongInput."""
    try:
        write_whole(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise WrongInput(reason=f"Cannot write {path} ({error.strerror}); choose another file with -o.") from None
