"""Turning a report into a file. An exporter is one file here and one line below."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable
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


def export(report: StudyReport, kind: str) -> str | bytes:
    """Return the report in this format, one of EXPORTERS: text, or bytes of a binary one. Raises NothingToExport."""
    render: Callable[[StudyReport], str | bytes] = importlib.import_module(EXPORTERS[kind]).render
    return render(report)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write the file so that it is either the old one or the whole new one. Raises WrongInput."""
    partial = None
    try:
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o666 & ~_umask())
        Path(partial).replace(path)
    except OSError as error:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
        raise WrongInput(reason=f"Cannot write {path} ({error.strerror}); choose another file with -o.") from None


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
