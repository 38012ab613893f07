"""Does a training that resumes from its checkpoint reach the same values as one that was not stopped?"""

from __future__ import annotations

from collections.abc import Iterator

from studies.check.checks import Check
from studies.check.checks.randomness import GENERATORS
from studies.check.findings import Finding, Item, NotChecked
from studies.check.isolate import Failure, FailureKind
from studies.check.observation import Observation
from studies.check.subject import FEW_STEPS, LEAST_S, Subject

ENDS = {
    FailureKind.RAISED: "raised an error",
    FailureKind.CRASHED: "crashed",
    FailureKind.HUNG: "hung",
    FailureKind.OUT_OF_MEMORY: "ran out of memory",
}


class Resuming(Check):
    """Train, and train again with a checkpoint in between."""

    title = "resuming from a checkpoint"
    share = 2

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        if subject.is_function and subject.first.files is None:  # it is called again from its start
            return
        if _depends_on_more(subject):  # which `randomness` reports
            yield NotChecked(self.title, "the same training made twice does not give the same values as it is")
            return
        params = subject.first.params
        if subject.first.whole:
            seconds = max(LEAST_S, min(subject.epochs_s(2), subject.left_s() / 2))
            straight = subject.whole_epochs(params, 2, seconds=seconds)
            resumed = subject.whole_epochs(params, 2, seconds=seconds, resume_after=1)
            if resumed.failure is not None or (_went_on(straight, 1) and _went_on(resumed, 1)):
                yield from _compared(subject, straight, resumed, 1)
                return
        if subject.is_function:
            yield NotChecked(self.title, "what it does up to its second report takes too long; give a longer --timeout")
            return
        # A state that cannot be saved or read at all shows before the first step, too.
        straight, resumed = subject.few_steps(params), subject.few_steps(params, resume_after=0)
        yield from _compared(subject, straight, resumed, 0)
        yield NotChecked(
            self.title,
            "an epoch takes too long to compare what follows it, and before the first step an optimizer has no state "
            "to lose; give `studies check` a longer --timeout",
        )


def _compared(subject: Subject, straight: Observation, resumed: Observation, n_epochs: int) -> Iterator[Item]:
    """Compare two trainings, one of them with a checkpoint after so many epochs."""
    if resumed.failure is not None:
        yield _refused(subject, resumed, resumed.failure)
    elif _went_on(straight, n_epochs) and _went_on(resumed, n_epochs) and subject.differ(straight, resumed):
        yield _differs(subject, straight, resumed, n_epochs)


def _depends_on_more(subject: Subject) -> bool:
    """Whether the process decides too, by its generators or by what an earlier training left in it."""
    once = subject.quick({})
    if subject.differ(once, subject.quick(dict.fromkeys(GENERATORS, 1))):
        return True
    return any(once.trajectory.differs(one, subject.unstable) for one in subject.quick({}, n_trainings=2).trajectories)


def _went_on(seen: Observation, n_epochs: int) -> bool:
    """Whether it went on after so many epochs: another epoch, or as many steps as show what an optimizer has kept."""
    trajectory = seen.trajectory
    if n_epochs == 0 or len(trajectory.epochs) != n_epochs:
        return bool(trajectory) and len(trajectory.epochs) >= n_epochs
    return len(trajectory.losses) - trajectory.ends[n_epochs - 1] >= FEW_STEPS


def _refused(subject: Subject, resumed: Observation, failure: Failure) -> Finding:
    fix = (
        "what the function reads in studies.checkpoints(trial) has to be what it wrote there before a report"
        if subject.is_function
        else "state_dict() returns tensors, numbers, texts, lists and dicts of them; load_state_dict() takes them again"
    )
    return Finding(
        "does-not-resume",
        "error",
        what=f"resuming from a checkpoint {ENDS[failure.kind]}: {failure.detail}",
        why="a trial fails at its first checkpoint, or whenever its worker is lost or stopped",
        fix=fix,
        where=failure.where or resumed.state_at,
    )


def _differs(subject: Subject, straight: Observation, resumed: Observation, n_epochs: int) -> Finding:
    expected, found = straight.trajectory.parting(resumed.trajectory, subject.unstable)
    when = f"after epoch {n_epochs}" if n_epochs else "before the first epoch"
    needs = "the model, the optimizer, a schedule, and the state of every generator"
    fix = (
        f"begin with the files in studies.checkpoints(trial), and keep there {needs}; or seed each epoch anew, with "
        "`torch.manual_seed(seed + epoch)`"
        if subject.is_function
        else f"state_dict() needs everything the next epoch depends on: {needs}"
    )
    return Finding(
        "does-not-resume",
        "warning" if subject.is_function else "error",
        what=f"with a checkpoint {when}, the training gives {found}, and without one {expected}",
        why="a trial whose worker is lost or stopped ends with another value than its parameters have",
        fix=fix,
        where=resumed.state_at,
    )
