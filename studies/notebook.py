"""The service from Python: a study by its name, read and driven in a few lines.

    import studies

    study = studies.load("meli-cnn")
    study.check().sound
    study.launch(workers=4, trials=20)
    study.best.params
    study.trials.sort_values("value")
    study.confirm(top=3, seeds=5)
    study.report()
    study.train("model").predict(["apple iphone 8 64gb"])

Whatever is read comes from the storage at that moment, so a study that is still growing shows what it has. What runs
trials is the command of the same name, in a process of its own: a notebook stays usable, and a script needs no
`if __name__ == "__main__"`.
"""

from __future__ import annotations

import importlib
import io
import json
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.commands import flags, options, run
from studies.errors import DONE, FAILED, ObjectiveRefused, UnknownStudy, WrongInput
from studies.names import NameInFile
from studies.settings import Settings
from studies.words import one_line

if TYPE_CHECKING:
    import pandas as pd

    from studies.check.findings import Result
    from studies.model.predict import Asked
    from studies.record.study import StudyRecord, TrialRecord
    from studies.report.page import Page


def load(study: Any, *, storage: str | None = None, **keys: Any) -> Study:
    """Return a study, launched or not: by its name, the path of its file, or its objective.

    study: a name or a path; or, in a notebook or a script, an objective: a class or a plain function. Its source is
    taken along with everything that it refers to by name, as it is now. keys: for an objective alone, those of a
    study file. storage: URL of a PostgreSQL server, in place of STUDIES_STORAGE; the embedded server with neither.
    Raises UnknownStudy when neither the catalog nor the storage has the name, ObjectiveRefused for an objective that
    cannot be taken along, and WrongInput for its keys.

    >>> import studies
    >>> studies.load("mnist-target").name
    'mnist-target'
    """
    from studies.spec import SpecFile

    _without_widgets()
    settings = Settings.from_environment().with_storage(storage)
    if not isinstance(study, (str, Path)):
        from studies.cells import study_file

        study, keys = study_file(study, settings, keys), {}
    if keys:
        raise WrongInput(reason=f"{next(iter(keys))} is for an objective; .launch(overrides=...) changes a study file.")
    name = str(study)
    try:
        spec = SpecFile.find(name).spec()
        known = NameInFile(spec.name, name) if name.endswith((".yaml", ".yml")) else spec.name
    except UnknownStudy:
        from studies.storage import open_storage
        from studies.study import get

        known = name
        with open_storage(settings) as opened:
            get(opened, name)
    return Study(name, known, settings)


def load_model(directory: str | Path) -> Model:
    """Return the model that `studies train` wrote. Where its objective cannot predict, only `predict` raises.

    Raises ModelRefused for a directory that holds no whole model.
    """
    model = Model(Path(directory))
    with suppress(ObjectiveRefused):
        model.open()
    return model


def _without_widgets() -> None:
    """Import what Optuna draws bars with, and no warning that this notebook has no widgets: no bar is drawn here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("tqdm.auto")


class Study:
    """A study; `load` makes one.

    >>> import studies
    >>> study = studies.load("mnist-target").launch(trials=2, overrides={"max_epochs": 1})
    >>> study.trials[["number", "state", "n_epochs"]]
       number     state  n_epochs
    0       0  complete         1
    1       1  complete         1
    >>> study.best.number, study.best.epoch
    (0, 1)
    """

    def __init__(self, given: str, name: str, settings: Settings) -> None:
        self.name = name
        self._given = given
        self._settings = settings

    def __repr__(self) -> str:
        return f"studies.load({self._given!r})"

    @property
    def _typed(self) -> str:
        """What the commands take that read a launched study: its file, if any, so that they can name it."""
        return getattr(self.name, "file", self.name)

    # --- reading ------------------------------------------------------------------------------------------------

    def read(self) -> StudyRecord:
        """Return everything about the study as it stands: its spec, its data set, and every trial with its verdict.

        Raises StudyNotStarted.
        """
        from studies.record.reading import read
        from studies.storage import open_storage

        with open_storage(self._settings) as storage:
            return read(storage, self.name)

    @property
    def status(self) -> str:
        """How it stands: trials by state, the workers, the best value so far; `print` it."""
        from studies import tables

        return tables.status(self._settings, self.name)

    @property
    def best(self) -> TrialRecord | None:
        """The winner, with its `value`, `params`, `epoch` and more; None without a completed trial.

        After `confirm`, the winner under fresh seeds; before, the feasible trial with the best value. With repeats, the
        first trial of the setting with the best `mean`, and its `sd`. With several metrics None, too, where more than
        one trial is on the `front`.
        """
        return self.read().best

    @property
    def best_trials(self) -> list[TrialRecord]:
        """The winner alone; with several metrics, the trials on the Pareto front, the best in the first metric first.

        Each has its `values`, in the order of the study file's `metrics`.
        """
        return self.read().best_trials

    @property
    def front(self) -> pd.DataFrame:
        """The Pareto front: the rows of `trials` that are on it, the best in the first metric first."""
        from studies.record.frames import front_frame

        return front_frame(self.read())

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial, one a row: the columns of `studies export --format csv`."""
        from studies.record.frames import trials_frame

        return trials_frame(self.read())

    @property
    def curves(self) -> pd.DataFrame:
        """Every epoch of every trial, one a row: the trial's `number`, the `epoch`, and its metrics."""
        from studies.record.frames import curves_frame

        return curves_frame(self.read())

    @property
    def confirmation(self) -> pd.DataFrame:
        """How the best few settings stand under fresh seeds, the best first; empty before `confirm`.

        trial: whose settings; n, mean, sd: of the seeds it trained under; difference, low, high: to the best one, with
        its interval; verdict: in words. With several metrics each has a mean_NAME and an sd_NAME, and no difference.
        """
        from studies.record.frames import confirmation_frame

        return confirmation_frame(self.read())

    def report(self) -> Page:
        """Return the page that `studies report` writes."""
        from studies.report.page import Page
        from studies.report.sections import document

        return Page(document(self.read()))

    def export(
        self, file: str | Path = "", *, format: str = "", trial: int | None = None, pick: str | None = None
    ) -> str | bytes | Path:
        """Write what `studies export -o` does to a file, and return where it is: as YAML, or as its name ends.

        Without a file, or with the name of a format in its place, return it: text, or the bytes of a parquet file.
        format: what it holds where its name does not say so; "csv", "parquet", "json", or module:Name. trial: by its
        number, in place of the best one. pick: with several metrics, a condition such as "accuracy >= .95"; the best in
        the other metric among those on the front is taken.
        Raises NothingToExport, ChooseFromFront, and WrongInput for a format that there is not.
        """
        from studies.exporters import given
        from studies.record.choice import chosen

        return given(chosen(self.read(), trial, pick), file, format)

    # --- doing --------------------------------------------------------------------------------------------------

    def launch(
        self,
        workers: int = 1,
        *,
        trials: int | None = None,
        dataset: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        start_from: str | Sequence[str] = (),
        start_with: str | Path | None = None,
        new_version: bool = False,
        detach: bool = False,
    ) -> Study:
        """Create or resume the study and run it to its end; `detach` returns at once.

        overrides: replaces keys of the study file, as `{"max_epochs": 3, "space.batch_size": [64]}`. start_from:
        another study or version whose best settings it begins with, or several. start_with: an exported file whose
        parameters run first. new_version: where the study has changed, begin NAME@2 and so on.
        Raises CommandFailed with what the command said.
        """
        given = flags(new_version=new_version, detach=detach)
        given += options(workers=workers, trials=trials, dataset=dataset, start_with=start_with)
        for other in [start_from] if isinstance(start_from, str) else start_from:
            given += ["--from", other]
        called = {f"--dataset {dataset}": f"dataset={dataset!r}", f"--trials {trials}": f"trials={trials!r}"}
        for key, value in (overrides or {}).items():
            given += ["--set", f"{key}={json.dumps(value)}"]
            called[" ".join(given[-2:])] = f"overrides={ {key: value}!r}"
        self._command("launch", self._given, *given, called=called)
        return self

    def check(self) -> Result:
        """Return whether the study is `sound`, and its `findings`; `print` it. Takes up to a minute."""
        from studies.check.findings import Result

        return Result.from_data(json.loads(self._command("check", self._given, "--json", fine=(DONE, FAILED))))

    def confirm(
        self,
        top: int | None = None,
        seeds: int | None = None,
        workers: int = 1,
        *,
        trial: int | None = None,
        pick: str | None = None,
    ) -> pd.DataFrame:
        """Run the best settings again under fresh seeds, and return `confirmation`.

        top, seeds: how many settings, and how often each; as many as before without them, or 5 the first time. trial,
        pick: with several metrics, which trial of the front, as `export` has it.
        """
        self._command("confirm", self._typed, *options(workers=workers, top=top, seeds=seeds, trial=trial, pick=pick))
        return self.confirmation

    def train(
        self,
        directory: str | Path,
        *,
        seed: int | None = None,
        with_validation: bool = False,
        epochs: int | None = None,
        overwrite: bool = False,
        trial: int | None = None,
        pick: str | None = None,
    ) -> Model:
        """Train the winner again, score the test rows once, and return the model that is then in `directory`.

        seed: the trial's own without it. epochs: those of the best value without it. trial, pick: another trial than
        the winner, as `export` has it. If the objective cannot predict, only the model's `predict` raises.
        """
        given = options(output=directory, seed=seed, epochs=epochs, trial=trial, pick=pick)
        self._command("train", self._typed, *given, *flags(with_validation=with_validation, overwrite=overwrite))
        return Model(Path(directory))

    def stop(self) -> None:
        """Ask every worker of the study, on every machine, to leave after its current epoch."""
        self._command("stop", self._typed)

    def _command(self, *words: str, fine: Collection[int] = (DONE,), called: Mapping[str, str] | None = None) -> str:
        return run(self._settings, words, fine, called or {})


class Model:
    """A trained model; `load_model` and `Study.train` return one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._asked: Asked | None = None

    def __repr__(self) -> str:
        return f"studies.load_model({str(self.directory)!r})"

    def open(self) -> Asked:
        """Read the model, unless that was done, and return what can be asked. `predict` does it by itself.

        Raises ModelRefused, and ObjectiveRefused where its objective cannot predict.
        """
        if self._asked is None:
            from studies.model.predict import Asked
            from studies.run.placement import visible_gpus

            _without_widgets()
            self._asked = Asked(self.directory, "cuda" if visible_gpus() else "cpu")
        return self._asked

    @property
    def metrics(self) -> dict[str, Any]:
        """What `studies train` measured: every epoch, and the test rows once."""
        found: dict[str, Any] = json.loads((self.directory / "metrics.json").read_text(encoding="utf-8"))
        return found

    def predict(self, source: str | Path | Iterable[str] | pd.DataFrame, **options: Any) -> pd.DataFrame | str:
        """Return an answer for each row, a row each; or the text that a model of texts writes.

        source: as INPUT of `studies predict`: a file, a directory or a text; or several lines, or a frame, which is
        asked as the table that it is with its header. options: such as `temperature` and `seed` of a text. Raises
        WrongInput for what cannot be answered, and what `open` does.
        """
        import pandas as pd

        answers = list(self.open().answers(_input_of(source), options))
        if answers and isinstance(answers[0], str):
            return "".join(map(str, answers))
        return pd.DataFrame(answers)


def _input_of(source: Any) -> str | io.BufferedReader:
    """Return what a person asks a model as `studies predict` takes it. Raises WrongInput for rows that are no texts."""
    if isinstance(source, (str, Path)):
        return str(source)
    if hasattr(source, "to_csv"):
        text = source.to_csv(index=False)
    else:
        rows = list(source) if isinstance(source, Iterable) else [source]
        for row in rows:
            if not isinstance(row, str):
                given = one_line(repr(row))[:60]
                raise WrongInput(
                    reason=f"A row is {given}; expected a text, as a line of a file is, or a pandas frame."
                )
        text = "".join(" ".join(row.split("\n")) + "\n" for row in rows)
    return io.BufferedReader(io.BytesIO(text.encode()))
