"""The kinds of verdicts, how one is stored with its trial, and how many trials have each. `diagnose` gives them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from studies.names import VERDICT, VERDICT_ADVICE, VERDICT_EVIDENCE

if TYPE_CHECKING:
    from studies.storage.ledger import Ledger


class VerdictKind(StrEnum):
    """The kinds of verdicts: the word that is stored and shown, with `k` for an epoch, and what it means."""

    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> VerdictKind:
        """Make a member of its word, which is its value, and what it means."""
        member = str.__new__(cls, word)
        member._value_, member.meaning = word, meaning
        return member

    OK = "ok", "nothing is wrong with the settings"
    DIVERGED = "diverged", "the metric or the training loss left the range of numbers, or grew"
    NEVER_A_NUMBER = (
        "the metric is never a number",
        "no trial of the study got one: look at the data and the metric, not at the settings",
    )
    SAME_TARGET = "every target is the same", "one class, or a constant: there is nothing to learn"
    ONE_CLASS = "answers one class", "nearly all of a classifier's answers are the same"
    LOSS_FLOOR = (
        "stuck at a loss floor",
        "the training loss stays where a bounded output before the loss keeps it, or at any other value far above the "
        "best trial's. With two classes, whose losses are often weighted, the first holds only where the validation "
        "loss and every other trial agree",
    )
    BASELINE = "no better than the baseline", "it learned nothing that a constant answer does not know"
    OVERFITS = "overfits after epoch k", "the validation metric fell while the training loss still went down"
    TOO_FEW_STEPS = (
        "too few steps",
        "it took a few hundred optimizer steps in all, and its training loss was still falling",
    )
    STILL_IMPROVING = "still improving at max_epochs", "its best epoch is the last one, and it was still gaining"
    LEARNED_LITTLE = "learned little", "it stayed far below what the best trial had by then, whatever its curve does"
    UNDERFITS = "underfits", "the training loss stayed far above the best trial's at the same epoch"
    TOO_SHORT = "too short to tell", "it trained for too few epochs"
    NO_CURVE = "no curve", "it reported no epoch"


def overfits_after(epoch: int) -> str:
    """Return the word of a trial that overfits after this epoch."""
    return f"{VerdictKind.OVERFITS.removesuffix('k')}{epoch}"


def kind_of(word: str) -> VerdictKind | None:
    """Return the kind of a verdict from its word; None for a word of another version of `studies`."""
    try:
        return VerdictKind(re.sub(r" \d+$", " k", word))
    except ValueError:
        return None


@dataclass(frozen=True)
class Verdict:
    """word: of a VerdictKind. evidence: the numbers it rests on. advice: what to try next, if anything."""

    word: str
    evidence: str = ""
    advice: str = ""

    @property
    def kind(self) -> VerdictKind | None:
        """See `kind_of`."""
        return kind_of(self.word)

    @property
    def attributes(self) -> dict[str, str]:
        """The verdict as user attributes, empty texts included: they take the place of an older verdict's."""
        return {VERDICT: str(self.word), VERDICT_EVIDENCE: self.evidence, VERDICT_ADVICE: self.advice}


def stored_verdict(attributes: Mapping[str, Any]) -> Verdict | None:
    """Return the verdict among a trial's user attributes; None where it has none yet."""
    if VERDICT not in attributes:
        return None
    return Verdict(attributes[VERDICT], attributes.get(VERDICT_EVIDENCE, ""), attributes.get(VERDICT_ADVICE, ""))


def counts(ledger: Ledger, study_id: int) -> dict[str, int]:
    """Return how many trials have each kind of verdict, the most frequent first.

    A trial that a continuation replaced does not count. A word of no known kind counts as itself.
    """
    found: Counter[str] = Counter()
    for word, n in ledger.verdicts(study_id).items():
        found[kind_of(word) or word] += n
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
