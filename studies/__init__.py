"""Hyperparameter studies that are exact, crash-safe and honest.

The map, in the order data flows:

    cli         what users type: parses, calls one function, prints; one module for each noun
    notebook    the same from Python, beginning with `studies.load`
    program     what a program uses that is an objective; needs nothing but Python
    cells       an objective defined in a notebook, as a module that workers import
    spec        a study file, validated, and its search space; `spec/catalog/` holds the shipped ones
    templates   what `studies init` writes, to start from
    check       whether a study is sound, before it costs anything
    run         a launch, its workers and their trials, from beginning to end
    search      which parameters a trial gets, and whether it goes on
    record      a study as it was read back; `view` and `tables` show it in a terminal
    confirm     the best few again under fresh seeds
    model       the winner trained again, saved, and asked
    report      record -> one page; `exporters` record -> files; `web` the dashboard
    study       a study in the storage; `storage` is the PostgreSQL behind it, `artifacts` the files beside it
    data        the objectives' data sets

Each folder's own docstring says what is in it and how to add one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studies.notebook import Model, Study, load, load_model
    from studies.report.page import Page
    from studies.run.kept_files import checkpoints

__version__ = "0.1.0"
__all__ = ["Model", "Page", "Study", "__version__", "checkpoints", "load", "load_model"]


def __getattr__(name: str) -> Any:
    """Import what Python programs use when they use it: the command line needs none of it."""
    if name == "Page":
        from studies.report.page import Page

        return Page
    if name == "checkpoints":
        from studies.run.kept_files import checkpoints

        return checkpoints
    if name in __all__:
        from studies import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what a notebook completes."""
    return sorted(__all__)
