"""What is trained in the end: parameters with where they come from, out of a storage or an exported file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studies.exporters.yaml import content_of
from studies.names import Direction
from studies.spec import MAX_STORED_NAME, STORED_NAME, Objective, StudySpec

if TYPE_CHECKING:
    from studies.record.study import StudyRecord


class _Part(BaseModel):
    """A part of an exported file, in which what training does not need is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Dataset(_Part):
    """A data set and the hash of what was trained on."""

    name: str
    sha256: str | None = None


class Origin(_Part):
    """How the trial was trained."""

    seed: int = 0
    threads: int | None = Field(default=None, ge=1)
    torch: str | None = None
    device: str | None = None


class Winner(_Part):
    """A trial to train again, as `studies export` writes it. A file written by hand needs the keys without a default.

    epochs: after which `value` was reached. metrics, values: of each of several metrics, in place of metric, direction
    and value, which are then those of the first. value: of this one trial, where the file has the mean of its repeats.
    """

    study: str = Field(pattern=STORED_NAME, max_length=MAX_STORED_NAME)
    objective: Objective
    dataset: Dataset
    metric: str
    direction: Direction
    metrics: dict[str, Direction] = {}
    value: float | None = None
    values: dict[str, float | None] = {}
    params: dict[str, Any]
    epochs: int | None = Field(default=None, ge=1)
    trial: int | None = None
    provenance: Origin = Origin()

    @model_validator(mode="before")
    @classmethod
    def _of_one_trial(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(its := data.get("repeated"), dict):
            data = data | {"value": its.get("value_of_trial")}
        if not isinstance(data, dict) or not isinstance(several := data.get("metrics"), dict) or not several:
            return data
        metric, direction = next(iter(several.items()))
        values = data.get("values")
        first = {"value": values.get(metric)} if isinstance(values, dict) else {}
        return {"metric": metric, "direction": direction} | first | data

    @classmethod
    def of(cls, record: StudyRecord) -> Winner:
        """Return the best trial of a study. Raises NothingToExport, ChooseFromFront."""
        return cls.model_validate(content_of(record))

    def spec(self, dataset: str) -> StudySpec:
        """Return the study of this one trial, on `dataset`."""
        return StudySpec.model_validate(
            {
                "name": self.study,
                "objective": self.objective,
                "dataset": dataset,
                "metrics": self.metrics or {self.metric: self.direction},
                "n_trials": 1,
            }
        )
