"""Turning a record into a file. An exporter is one file here, and one line in `EXPORTERS` in `studies/registry.py`.

It is a module, an object or a class with `render(record)`, which returns text, or bytes of a binary format. With
`render_curves(record)` as well, it works with `--curves`: a row for each epoch instead of one for each trial. A user's
own needs no line: `studies export NAME --format mymodule:Mine`. `mlflow` is not an exporter: it logs to a server.
`studies.testing.ExporterSuite` has the tests that each must pass.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.errors import WrongInput
from studies.files import kind_of, write_file
from studies.registry import EXPORTERS

if TYPE_CHECKING:
    from studies.record.study import StudyRecord


def export(record: StudyRecord, kind: str, *, curves: bool = False) -> str | bytes:
    """Return the study in this format, one of EXPORTERS or `module:Name`: text, or bytes of a binary one.

    curves: a row for each epoch instead of one for each trial. Raises NothingToExport, WrongInput.
    """
    exporter = exporter_of(kind, curves=curves)
    content: str | bytes = exporter.render_curves(record) if curves else exporter.render(record)
    return content


def given(record: StudyRecord, file: str | Path, kind: str = "") -> str | bytes | Path:
    """Write the study to a file and return it, or return the content where there is none, or a format in its place.

    kind: the format, where the file's name does not say it. Raises NothingToExport, WrongInput.
    """
    if isinstance(file, str) and not kind and (EXPORTERS.expected(file) is None or file.isidentifier()):
        return export(record, file)
    content = export(record, kind or kind_of(file, EXPORTERS, "yaml", "The file", ", or give its format"))
    if not str(file):
        return content
    write_file(Path(file), content)
    return Path(file)


def exporter_of(kind: str, *, curves: bool = False) -> Any:
    """Return the exporter of this format; WrongInput where there is none, or none of curves."""
    EXPORTERS.check(kind, "--format")
    exporter = _loaded(kind)
    if not hasattr(exporter, "render"):
        raise WrongInput(reason=f"--format is {kind!r}, which has no render(record) and so is no exporter")
    if curves and not hasattr(exporter, "render_curves"):
        of_curves = [name for name in EXPORTERS if hasattr(_loaded(name), "render_curves")]
        raise WrongInput(reason=f"--curves is for --format {' and '.join(of_curves)}; the format is {kind}.")
    return exporter


def _loaded(kind: str) -> Any:
    found = EXPORTERS.load(kind)
    return found() if isinstance(found, type) else found
