"""Does a training that goes on from its checkpoint come to the values it would have had?"""

from __future__ import annotations

from collections.abc import Iterator

from studies.check.checks import Check
from studies.check.checks.randomness import GENERATORS
from studies.check.findings import Finding, NotChecked, Told
from studies.check.isolate import Failure, FailureKind
from studies.check.observe import Observation
from studies.check.subject import Subject

ENDS = {
    FailureKind.RAISED: "raised an error",
    FailureKind.CRASHED: "crashed",
    FailureKind.HUNG: "hung",
    FailureKind.OUT_OF_MEMORY: "ran out of memory",
}

QUICK = 1 / 36  # of all the time: an epoch that takes longer is not waited for


class Resuming(Check):
    """Train, and train again with a checkpoint in between: after a whole epoch, or before the first if that is long."""

    title = "going on from a checkpoint"
    share = 2

    def check(self, subject: Subject) -> Iterator[Told]:
        """See Check."""
        if subject.is_function:  # it is called anew, from its beginning
            return
        if _depends_on_more(subject):  # which `randomness` tells
            yield NotChecked(self.title, "the same training made twice does not give the same values as it is")
            return
        first = subject.first
        if first.whole and sum(first.epoch_s[:1]) < subject.seconds * QUICK:
            n_epochs = 1
            straight = subject.whole_epochs(first.params, 2)
            resumed = subject.whole_epochs(first.params, 2, resume_after=1)
        else:
            n_epochs = 0
            straight = subject.few_steps(first.params)
            resumed = subject.few_steps(first.params, resume_after=0)
        if resumed.failure is not None:
            yield _refused(resumed, resumed.failure)
        elif not _went_on(resumed, n_epochs) or not _went_on(straight, n_epochs):
            yield NotChecked(self.title, "no step after it was seen in time")
        elif subject.differ(straight, resumed):
            yield _differs(subject, straight, resumed, n_epochs)


def _depends_on_more(subject: Subject) -> bool:
    """Whether the process decides too, by its generators or by what an earlier training left in it."""
    once = subject.quick({})
    if subject.differ(once, subject.quick(dict.fromkeys(GENERATORS, 1))):
        return True
    return any(once.trajectory.differs(one, subject.unstable) for one in subject.quick({}, n_trainings=2).trajectories)


def _went_on(seen: Observation, n_epochs: int) -> bool:
    trajectory = seen.trajectory
    return len(trajectory.epochs) > n_epochs or (n_epochs == 0 and bool(trajectory))


def _refused(resumed: Observation, failure: Failure) -> Finding:
    return Finding(
        "does-not-resume",
        "error",
        f"resuming from a checkpoint {ENDS[failure.kind]}: {failure.detail}",
        "a trial fails at its first checkpoint, or whenever its worker is lost or stopped",
        "state_dict() returns tensors, numbers, texts, lists and dicts of them; load_state_dict() takes the same again",
        failure.where or resumed.state_at,
    )


def _differs(subject: Subject, straight: Observation, resumed: Observation, n_epochs: int) -> Finding:
    expected, found = straight.trajectory.parting(resumed.trajectory, subject.unstable)
    when = f"after epoch {n_epochs}" if n_epochs else "before the first epoch"
    return Finding(
        "does-not-resume",
        "error",
        f"with a checkpoint {when}, the training gives {found}, and without one {expected}",
        "a trial whose worker is lost or stopped ends with another value than its parameters have",
        "state_dict() needs everything the next epoch depends on: the model, the optimizer, a schedule, and the state "
        "of every generator",
        resumed.state_at,
    )
