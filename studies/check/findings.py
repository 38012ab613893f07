"""What a check reports: plain data, the same on the screen, as JSON and in Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from studies.words import plural


@dataclass(frozen=True)
class Finding:
    """Something wrong with a study.

    name: of the mistake, the same wherever it occurs. severity: an error makes the study's numbers wrong, or its
    trials fail; a warning does not. what: was found. why: it matters, with the number that it costs. fix: what to do.
    where: file:line of the objective's own code, if it is known.
    """

    name: str
    severity: Literal["error", "warning"]
    what: str
    why: str
    fix: str
    where: str | None = None


def never_starts(what: str, fix: str, where: str | None) -> Finding:
    """Return the finding of an objective that cannot be imported, or its data prepared."""
    why = "no trial of this study can start, and nothing else could be checked"
    return Finding("does-not-train", "error", what, why, fix, where)


@dataclass(frozen=True)
class NotChecked:
    """A check, or a part of one, that could not be made, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Fact:
    """A number worth knowing before the study is launched."""

    name: str
    text: str


class Stage(StrEnum):
    """What a check is doing."""

    IMPORTING = "importing the objective"
    PREPARING = "preparing the data"
    CHECKING = "checking"


@dataclass(frozen=True)
class Progress:
    """What is being done, in words, and which share of its stage is done (0 to 1)."""

    stage: Stage
    what: str
    fraction: float


Item = Finding | NotChecked | Fact


@dataclass
class Result:
    """Everything that was found about a study. checked: the names of the checks that ran. log: what the objective
    printed, every training that was watched, and tracebacks."""

    study: str
    seconds: float = 0.0
    log: str | None = None
    checked: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    not_checked: list[NotChecked] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Add it to its list."""
        places: dict[type, list[Any]] = {
            Finding: self.findings,
            Fact: self.facts,
            NotChecked: self.not_checked,
        }
        place = places[type(item)]
        if item not in place:
            place.append(item)

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the study unsound."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def sound(self) -> bool:
        """Whether no error was found. What was not checked does not count against a study."""
        return not self.errors

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {"study": self.study, "sound": self.sound, **{k: v for k, v in asdict(self).items() if k != "study"}}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Result:
        """Return what `as_data` was made of."""
        kinds = {"findings": Finding, "facts": Fact, "not_checked": NotChecked}
        parts = {name: [kind(**one) for one in data[name]] for name, kind in kinds.items()}
        return cls(**{name: value for name, value in data.items() if name != "sound"} | parts)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show it in a notebook as `print` does."""
        printer.text(str(self))

    def lines(self) -> Iterator[str]:
        """Yield it as text, for a person."""
        n_warnings = len(self.findings) - len(self.errors)
        counts = f"{plural(len(self.errors), 'error')}, {plural(n_warnings, 'warning')}"
        counts += f", {len(self.not_checked)} not checked"
        yield f"{self.study}: {'sound' if self.sound else 'NOT SOUND'} ({counts}; {self.seconds:.0f} s)"
        width = max((len(fact.name) for fact in self.facts), default=0)
        yield from (f"  {fact.name:{width}}  {fact.text}" for fact in self.facts)
        for finding in sorted(self.findings, key=lambda finding: finding.severity):
            yield ""
            yield f"{finding.severity}: {finding.name}" + (f" at {finding.where}" if finding.where else "")
            yield f"  what  {finding.what}"
            yield f"  why   {finding.why}"
            yield f"  fix   {finding.fix}"
        if self.not_checked:
            yield ""
            for reason in dict.fromkeys(left.reason for left in self.not_checked):
                names = "; ".join(left.name for left in self.not_checked if left.reason == reason)
                yield f"not checked: {names}: {reason}"
        if self.errors and self.log:
            yield f"\nlog: {self.log}"
