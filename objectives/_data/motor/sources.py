"""The data sets of the motor: their names, their licences, and where their files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from objectives._contract import DataError, Download, Origin
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.sources import own_table
from objectives._data.motor.simulation import N_SESSIONS

FILES = {"pmsm-v1": "pmsm_temperature_data.csv", "pmsm-v2": "measures_v2.csv"}
DATASETS: Mapping[str, str] = {
    "simulated": f"SIMULATED, not measured: {N_SESSIONS} sessions of a small thermal network; generated here.",
    "pmsm-v1": "The measurements' first release, 998,070 standardised rows; you put it into the data directory.",
    "pmsm-v2": "The second release, 1,330,816 rows in physical units; you put it into the data directory.",
}
KAGGLE = "https://www.kaggle.com/datasets/wkirgsn/electric-motor-temperature"
ORIGINS: Mapping[str, Origin] = {
    "simulated": Origin("free of rights, simulated"),
    **{
        name: Origin(
            "CC BY-SA 4.0 (not confirmed); Paderborn University, Kaggle",
            [Download(f"pmsm/{file}", page=f"{KAGGLE} (an account is needed)")],
        )
        for name, file in FILES.items()
    },
}


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the files of `dataset`, none if it is simulated. Raises DataError when it is missing."""
    table = locate(dataset, data)
    return parts_of(table) if table else []


def locate(dataset: str, data: Path) -> Path | None:
    """Return where the table of `dataset` is, None if it is simulated. Raises DataError when it is missing."""
    if dataset == "simulated":
        return None
    if dataset in FILES:
        path = data / "pmsm" / FILES[dataset]
        if path.is_file():
            return path
        raise DataError(
            f"the data set {dataset} is not there: put {path.name} of Kaggle's wkirgsn/electric-motor-temperature into "
            f"{path.parent}, or use the data set simulated"
        )
    return own_table(dataset, DATASETS)
