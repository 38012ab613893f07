"""Draw a study's learning curves, as in the README: `python benchmarks/curves.py products-cnn -o curves.png`."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from studies.record.reading import read_stored
from studies.record.study import StudyRecord
from studies.settings import Settings
from studies.storage import open_storage


def draw(report: StudyRecord, path: Path) -> None:
    """Draw one line a trial: pruned ones grey, completed ones blue, the best one orange."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    best = report.best
    for trial in report.trials:
        style = {"color": "#b0b0b0", "linewidth": 1.0}
        if trial.state == "complete":
            style = {"color": "#4c78a8", "linewidth": 1.2}
        if best is not None and trial.number == best.number:
            style = {"color": "#f58518", "linewidth": 2.5, "zorder": 3}
        axes.plot(list(trial.curve), list(trial.curve.values()), marker="o", markersize=3, **style)
    axes.plot([], [], color="#b0b0b0", label="pruned")
    axes.plot([], [], color="#4c78a8", label="complete")
    if best is not None:
        axes.plot([], [], color="#f58518", linewidth=2.5, label=f"best: {best.value:.4f} (trial {best.number})")
    axes.set(xlabel="epoch", ylabel=report.spec.metric.replace("_", " "), title=report.spec.name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Read the study from the storage that the STUDIES_* variables name, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    with open_storage(Settings.from_environment()) as storage:
        draw(read_stored(storage, arguments.study), arguments.output)


if __name__ == "__main__":
    main()
