"""Are rows, or groups of rows that belong together, on both sides of the split?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from studies.check.checks import Check
from studies.check.findings import Finding, Item, NotChecked
from studies.check.rows import GROUPS, MOST_ROWS, Side, sides
from studies.check.subject import Subject
from studies.words import be, plural

SHOWN = (
    "to show it, let `prepare` return an object or a dict with `train` and `validation`, each an array, a tensor, a "
    "tuple of them, a data frame, a torch data set, or row numbers into the other arrays"
)
MUCH, SOME = 0.10, 0.01  # of the rows that are scored


class Split(Check):
    """Look at the prepared data, and where they do not show their roles, at the model's inputs."""

    title = "the split"
    needs_training = False

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        train, scored = sides(subject.data)
        if train is None or scored is None:
            yield from _as_given(subject)
            yield NotChecked(
                "groups on both sides",
                f"it is unclear which of the prepared data are train rows and which validation rows; {SHOWN}",
            )
            return
        both = _in_both(train, scored)
        if both is None:
            yield from _as_given(subject)
        else:
            yield from _rows(*both, subject)
            if both[1] == MOST_ROWS or (train.hashes is not None and len(train.hashes) == MOST_ROWS):
                yield NotChecked("rows on both sides", f"only the first {MOST_ROWS:,} rows of each side were compared")
        names = train.groups.keys() & scored.groups.keys()
        for name in sorted(names):
            yield from _groups(name, train, scored, subject)
        if not names:
            reason = f"no column of the data is named as groups are ({', '.join(sorted(GROUPS)[:4])}, ...)"
            yield NotChecked("groups on both sides", reason)


def _in_both(train: Side, scored: Side) -> tuple[int, int, bool] | None:
    """Return how many scored rows are trained on, of how many, and whether train rows repeat; None if unclear."""
    if train.hashes is None or scored.hashes is None or not len(scored.hashes):
        return None
    repeats = len(np.unique(train.hashes)) < 0.9 * len(train.hashes)
    return int(np.isin(scored.hashes, train.hashes).sum()), len(scored.hashes), repeats


def _as_given(subject: Subject) -> Iterator[Item]:
    seen = subject.first.rows
    if not seen.n_scored or not seen.n_trained_on:
        yield NotChecked("rows on both sides", "neither the data nor the model's inputs show which rows are trained on")
        return
    yield from _rows(seen.n_both, seen.n_scored, seen.n_trained_on < 0.9 * seen.n_given, subject)


def _rows(n_both: int, n_scored: int, repeats: bool, subject: Subject) -> Iterator[Item]:
    share = n_both / n_scored
    if share < SOME:
        return
    if repeats and share < 1:
        yield NotChecked("rows on both sides", "rows repeat within the training data, so that equal ones prove nothing")
        return
    yield Finding(
        "rows-on-both-sides",
        "error" if share >= MUCH else "warning",
        what=f"{n_both} of {plural(n_scored, 'row')} that are scored ({share:.0%}) {be(n_both)} also trained on",
        why=f"up to {share:.0%} of the score is memory: it says nothing about new rows, and favours large models",
        fix="drop duplicates before splitting, and split once, in `prepare`",
        where=subject.source.of(type(subject.objective).prepare) if not subject.is_function else None,
    )


def _groups(name: str, train: Side, scored: Side, subject: Subject) -> Iterator[Item]:
    trained, present = np.unique(train.groups[name]), np.unique(scored.groups[name])
    both = np.intersect1d(trained, present)
    if len(both):
        yield Finding(
            "groups-on-both-sides",
            "error",
            what=f"{len(both)} of {plural(len(present), 'value')} of {name!r} in validation rows {be(len(both))} in "
            "training rows too",
            why="rows of one group are alike: the score shows how well known groups are remembered, not new ones "
            "predicted",
            fix=f"split by {name}: each of its values is whole in train, validation or test",
            where=subject.source.of(type(subject.objective).prepare) if not subject.is_function else None,
        )
