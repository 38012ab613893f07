"""The types of the contract in `objectives/__init__.py`. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, Protocol

Source = str | BinaryIO  # what to predict for: INPUT as typed, or a binary stream such as stdin
Answer = Mapping[str, Any] | str  # one row, the same keys in each, scalars as values; or a text to show as it is


class DataError(ValueError):
    """A data file cannot be used; the message is one sentence that names the file, the line and what to do."""


class Progress(Protocol):
    """Reports how far a preparation is."""

    def __call__(self, what: str, fraction: float) -> None:
        """`what` is being done, and `fraction` of it, 0 to 1, is done."""


def silent(what: str, fraction: float) -> None:
    """Progress that reports nothing."""


@dataclass(frozen=True)
class Download:
    """A raw file that does not ship, and where to get it.

    path: where it belongs, below the directory of full data sets. urls: addresses of the same content, tried in turn;
    none if it needs a login. md5: as published, or "". members: the files to extract from an archive, by their names;
    they are put beside the archive. page: where a person finds it. needed: whether the data set needs it.
    """

    path: str
    urls: Sequence[str] = ()
    md5: str = ""
    members: Sequence[str] = ()
    page: str = ""
    needed: bool = True


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from. rights: its licence and publisher, in a few words."""

    rights: str
    downloads: Sequence[Download] = ()


class Example(NamedTuple):
    """Tiny data to try an objective on; its tests do. A plain tuple of as many of these is as good.

    dataset: what to prepare, as a study file says it. params: quick ones, in place of the defaults. inputs: INPUTs
    for its predictor: the first one holds several things, and the others the first of these, one by one.
    """

    dataset: str
    params: Mapping[str, Any] = {}
    inputs: Sequence[str] = ()


class NotPrepared(Exception):
    """A data set was to be opened, but it is not prepared yet."""


# Set while data are only opened: code that would read a large raw file or build arrays raises NotPrepared instead.
opening_only: ContextVar[bool] = ContextVar("opening_only", default=False)


class Prepared(Protocol):
    """A data set ready to train on.

    name: as in the study file. sha256: of the raw content and of how it was prepared: two studies with the same value
    trained on the same numbers. summary: counts worth showing, such as rows and classes. directory: where its arrays
    are.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    directory: Path


class Training(Protocol):
    """One trial's training, between two epochs."""

    def epoch(self) -> dict[str, float]:
        """Train one epoch and return its metrics, the objective's `metrics` among them."""

    def evidence(self) -> dict[str, Any]:
        """The evidence for the last validation metrics, as plain JSON; see the package. Optional."""

    def test(self) -> dict[str, float]:
        """Score the test rows with the current weights."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on: tensors, numbers, strings, lists and dicts of them."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was taken."""

    def weights(self) -> dict[str, Any]:
        """Return the tensors that a predictor needs, by name."""


class Predictor(Protocol):
    """A trained model in evaluation mode."""

    def predict(self, source: Source) -> Iterator[Answer]:
        """Yield an answer for each thing in `source`, in its order; the docstring's first sentence says what that is.

        An answer does not depend on the other things asked, and only a few are in memory at a time.
        Keyword-only arguments with a default are options: `--NAME` on the command line.
        A thing that cannot be used is answered, in its place, by a mapping with `error`, one sentence with the line.
        Raises DataError where nothing more can be answered, such as for a truncated file.
        """


class Objective(ABC):
    """What a study tunes. See the package's docstring."""

    metrics: ClassVar[Mapping[str, str]]
    space: ClassVar[Mapping[str, Mapping[str, Any]]]
    datasets: ClassVar[Mapping[str, str]]
    origins: ClassVar[Mapping[str, Origin]] = {}
    baseline_model: ClassVar[str] = "a linear model"  # what `baselines` has the values of

    @abstractmethod
    def prepare(self, dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Prepared:
        """Return `dataset` (one of `datasets`, or a path) prepared.

        data: directory of full data sets. cache: directory for prepared ones; the result is kept there under a name
        that follows from the content, and is complete whenever it is there.
        Raises DataError.
        """

    def files(self, dataset: str, data: Path) -> Sequence[Path]:
        """Return the raw files of `dataset`, one of `datasets` or a path; none if it is generated.

        Raises DataError that says which file to put where when one is missing.
        """
        if dataset not in self.origins:
            return [Path(dataset).expanduser()]
        wanted = [data / download.path for download in self.origins[dataset].downloads]
        for path in wanted:
            if not path.is_file():
                raise DataError(f"the data set {dataset} is not there: put {path.name} into {path.parent}")
        return wanted

    def opened(self, dataset: str, data: Path, cache: Path) -> Prepared | None:
        """Return what `prepare` would if it is prepared and its raw files are unchanged, else None; build nothing.

        Fast: no large file is read. Raises DataError when a raw file is missing.
        """
        token = opening_only.set(True)
        try:
            return self.prepare(dataset, data, cache, silent)
        except NotPrepared:
            return None
        finally:
            opening_only.reset(token)

    @abstractmethod
    def start(self, params: Mapping[str, Any], data: Any, *, seed: int, device: str) -> Training:
        """Return a new training of these parameters on these data.

        params: a value for every parameter of `space` that applies. device: as torch spells it.
        """

    def baselines(self, data: Any, params: Mapping[str, Any]) -> Mapping[str, float]:
        """Return what `baseline_model` scores on the validation rows, by metric; nothing where there is no honest one.

        params: what the study fixes, and the defaults of what it searches. Takes seconds; the result is kept. A study
        that stays below it says so.
        """
        return {}


class PredictingObjective(Objective):
    """An objective whose trained model can be used without its training data."""

    @abstractmethod
    def fitted(self, params: Mapping[str, Any], data: Any) -> dict[str, Any]:
        """Return what a predictor needs besides parameters and weights, as plain JSON data.

        Such as a vocabulary, class names or a scale. What is learnt from rows is learnt from train rows only.
        """

    @abstractmethod
    def predictor(
        self, params: Mapping[str, Any], fitted: Mapping[str, Any], weights: Mapping[str, Any], *, device: str
    ) -> Predictor:
        """Return the trained model that these parameters, fitted data and weights belong to.

        Raises any Exception if the three do not belong together.
        """
