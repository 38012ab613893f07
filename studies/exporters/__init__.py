"""Turning a report into a file. An exporter is one file here and one line below."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from studies.errors import WrongInput

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
    """Return the report in this format, one of EXPORTERS: text, or bytes of a binary one. Raises NothingToExport.

    curves: a row for each epoch instead of one for each trial; of CURVES alone.
    """
    exporter = importlib.import_module(EXPORTERS[kind])
    render: Callable[[StudyReport], str | bytes] = exporter.render_curves if curves else exporter.render
    return render(report)


def write_all(directory: Path, files: Iterable[tuple[str, str | bytes]]) -> int:
    """Write files by name into a directory, which is made; return how many. Raises WrongInput."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"Cannot make the directory {directory} ({error.strerror}); choose another with -o."
        raise WrongInput(reason=reason) from None
    n_files = 0
    for n_files, (name, content) in enumerate(files, start=1):  # noqa: B007 - it is returned
        write_whole(directory / name, content)
    return n_files


def write_whole(path: Path, content: str | bytes) -> None:
    """Write the file so that it is either the old one or the whole new one. Raises WrongInput."""
    partial = None
    try:
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o666 & ~umask())
        Path(partial).replace(path)
    except OSError as error:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
        raise WrongInput(reason=f"Cannot write {path} ({error.strerror}); choose another file with -o.") from None


def umask() -> int:
    """Return what this process takes from the rights of new files."""
    taken = os.umask(0)
    os.umask(taken)
    return taken
