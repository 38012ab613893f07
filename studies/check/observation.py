"""What to do to a training, and what was seen of it: plain data that travels between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studies.check.again import EvaluationAgain
from studies.check.isolate import Failure
from studies.check.losses_seen import Rows, Seen
from studies.check.watch import StopAfter
from studies.spec.space import Space

SEED = 7
NEVER = StopAfter()


@dataclass(frozen=True)
class Treatment:
    """What to do to a training. n_epochs: whole ones. seconds: stop in the middle after so long, or by `limits`.

    n_trainings: one after another in one process. noise: what the process's own generators are seeded with, by name.
    look: also watch the data and make the evaluation again. resume_after: after so many whole epochs, if any number,
    another training resumes from this one's checkpoint.
    """

    n_epochs: int = 1
    seconds: float = 5.0
    limits: StopAfter = NEVER
    n_trainings: int = 1
    seed: int = SEED
    noise: Mapping[str, int] = field(default_factory=dict)
    look: bool = False
    resume_after: int | None = None


@dataclass
class Trajectory:
    """What a training gave: the loss at each backward, and the metrics of each whole epoch.

    ends: how many losses there were at the end of each epoch.
    """

    losses: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.losses or self.epochs)

    def differs(self, other: Trajectory, ignored: frozenset[str]) -> bool:
        """Whether they differ, as far as both go. ignored: metrics that never repeat, such as speeds."""
        if self.parts_at_a_loss(other):
            return True
        return any(
            _apart(before.get(name), after.get(name))
            for before, after in zip(self.epochs, other.epochs, strict=False)
            for name in (before.keys() | after.keys()) - ignored
        )

    def parts_at_a_loss(self, other: Trajectory) -> bool:
        """Whether they differ in training already, not only in what was scored."""
        return any(_apart(a, b) for a, b in zip(self.losses, other.losses, strict=False))

    def parting(self, other: Trajectory, ignored: frozenset[str]) -> tuple[str, str]:
        """Return the first loss or metric in which they differ, as words: this one's, and the other's."""
        for step, (loss, theirs) in enumerate(zip(self.losses, other.losses, strict=False), start=1):
            if _apart(loss, theirs):
                return f"a loss of {loss:.6g} at step {step}", f"a loss of {theirs:.6g} at step {step}"
        for number, (epoch, their) in enumerate(zip(self.epochs, other.epochs, strict=False), start=1):
            for name in sorted((epoch.keys() | their.keys()) - ignored):
                if _apart(epoch.get(name), their.get(name)):
                    values = (epoch.get(name), their.get(name))
                    one, two = (f"no {name}" if each is None else f"{name} {each:.6g}" for each in values)
                    return f"{one} in epoch {number}", f"{two} in epoch {number}"
        return "nothing", "nothing"


@dataclass(frozen=True)
class RowsSeen:
    """How many different rows a model was given. n_given: those to train on, each as often as it was given."""

    n_trained_on: int = 0
    n_scored: int = 0
    n_both: int = 0
    n_given: int = 0


@dataclass
class Observation:
    """What was seen of a training, or of several in one process.

    whole: it finished its epochs. evaluated: it finished an evaluation. failure: what the objective
    did wrong itself. start_s, epoch_s: durations; an epoch's as long as it would have been without cutting loaders
    short. stepped_s, stepped_cpu_s: from the first backward to the last, by the clock and of the CPU; n_rows: of the
    losses between them. cpu_s: of the CPU in all. peak_bytes: what it took beyond the process it was forked from.
    unused: initialisers of the model's that nobody called, with their places. holders: globals that hold a model or an
    optimizer after several trainings. state_at: where a training that was resumed from defines its state.
    last_step: the greatest that a plain function reported. files: that it kept, as an archive; None where it kept none.
    """

    params: dict[str, Any] = field(default_factory=dict)
    trajectories: list[Trajectory] = field(default_factory=list)
    whole: bool = False
    evaluated: bool = False
    failure: Failure | None = None
    start_s: float = 0.0
    epoch_s: list[float] = field(default_factory=list)
    stepped_s: float = 0.0
    stepped_cpu_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    read: dict[str, str | None] = field(default_factory=dict)
    missing: dict[str, tuple[str | None, bool]] = field(default_factory=dict)
    suggested: Space = field(default_factory=lambda: Space({}))
    seen: list[Seen] = field(default_factory=list)
    draws: dict[str, str | None] = field(default_factory=dict)
    loss_at: str | None = None
    n_rows: int = 0
    n_classes: int = 0
    labels: dict[Rows, Any] = field(default_factory=dict)
    targets: dict[Rows, Any] = field(default_factory=dict)
    rows: RowsSeen = RowsSeen()
    again: EvaluationAgain | None = None
    unused: list[tuple[str, str | None]] = field(default_factory=list)
    holders: list[tuple[str, str | None]] = field(default_factory=list)
    state_at: str | None = None
    last_step: int = 0
    files: bytes | None = None
    tested_twice: tuple[dict[str, float], dict[str, float]] | None = None

    @property
    def trajectory(self) -> Trajectory:
        """Of the first training."""
        return self.trajectories[0] if self.trajectories else Trajectory()

    @property
    def misses_a_parameter(self) -> bool:
        """Whether it failed because a parameter is missing."""
        wanted = any(not has_default for _, has_default in self.missing.values())
        return wanted and self.failure is not None and self.failure.error == KeyError.__name__

    @property
    def n_steps(self) -> int:
        """How many backwards it did."""
        return len(self.trajectory.losses)


def _apart(left: float | None, right: float | None) -> bool:
    """Whether two values differ; two that are no numbers do not."""
    return left != right and not (left is not None and right is not None and left != left and right != right)
