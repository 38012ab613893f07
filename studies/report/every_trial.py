"""The report's sections on the trials themselves: their verdicts, all of them, and where they come from."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from studies.names import ENDED, State
from studies.record.verdicts import Verdict
from studies.report.document import Section, Table
from studies.report.parameters import varies
from studies.words import cut, duration, exact, number, plural, short, state

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord
    from studies.spec import StudySpec

MAX_ROWS, MAX_DETAIL = 500, 120  # trials; characters of what one said


def diagnoses(record: StudyRecord, verdicts: dict[int, Verdict]) -> Section | None:
    """Return how many trials had each verdict, with one trial's evidence and what to try."""
    if not verdicts:
        return None
    groups: dict[str, list[int]] = {}
    for trial in record.trials:
        if trial.number in verdicts and trial.continued_by is None:
            verdict = verdicts[trial.number]
            groups.setdefault(verdict.kind or verdict.word, []).append(trial.number)
    rows = []
    for word, numbers in sorted(groups.items(), key=lambda item: -len(item[1])):
        example = verdicts[numbers[0]]
        evidence = f"trial {numbers[0]}: {example.evidence}" if example.evidence else ""
        rows.append((word, f"{len(numbers):,}", evidence, example.advice))
    text = "What each trial's curve and predictions say of it; the verdict of every trial is in the last table."
    return Section("Diagnoses", [text], tables=[Table(("verdict", "trials", "for example", "worth trying"), rows)])


def trials(record: StudyRecord, verdicts: dict[int, Verdict]) -> Section | None:
    """Return all trials, best first; where there are very many, the first ones and how to get the rest."""
    if not record.trials:
        return None
    ranked = record.ranked
    known = {trial.number for trial in ranked}
    order = ranked + sorted((trial for trial in record.trials if trial.number not in known), key=_after)
    names = [name for name in record.parameters if varies(record, name)]
    repeated = ("mean", "sd", "seeds") if record.spec.repeats > 1 else ()
    shown = order[:MAX_ROWS]
    said = ("what it said",) if any(trial.detail for trial in shown) else ()
    header = ("trial", "state", *record.spec.metrics, *repeated, "epoch", "epochs", "time", "verdict", *said, *names)
    rows = []
    for trial in shown:
        facts = _facts(trial, verdicts.get(trial.number), record.spec)
        told = [cut(trial.detail or "-", MAX_DETAIL)] if said else []
        rows.append(facts + told + [short(trial.params[name]) if name in trial.params else "-" for name in names])
    text = plural(len(order), "trial") + (", best first." if ranked else ".")
    if len(order) > MAX_ROWS:
        text = (
            f"The first {MAX_ROWS} of {len(order):,} trials, best first; "
            f"`studies export {record.typed} --format csv` has all of them."
        )
    marks = frozenset(row for row, trial in enumerate(shown) if trial in record.best_trials)
    return Section("All trials", [text], tables=[Table(header, rows, marks)])


def _after(trial: TrialRecord) -> tuple[int, int]:
    return (ENDED.index(trial.state) if trial.state in ENDED else len(ENDED)), trial.number


def _facts(trial: TrialRecord, verdict: Verdict | None, spec: StudySpec) -> list[str]:
    why = trial.reason if trial.reason or trial.is_feasible else "infeasible"
    why = f"resumed as {trial.continued_by}" if trial.is_resumed else why
    ended = state(trial.state, why)
    return [
        str(trial.number),
        ended if trial.given is None else f"{ended}, given {trial.given}",
        *map(number, trial.values if trial.state == State.COMPLETE else [None] * len(spec.metrics)),
        *(_means(trial) if spec.repeats > 1 else ()),
        exact(trial.epoch),
        str(len(trial.curve)),
        duration(trial.seconds),
        verdict.word if verdict else "-",
    ]


def _means(trial: TrialRecord) -> list[str]:
    found = trial.repeated
    return ["-"] * 3 if found is None else [number(found.mean), number(found.sd), str(found.n)]


def provenance(record: StudyRecord) -> Section:
    """Return where the numbers come from."""
    spec = record.spec
    rows = [
        ("objective", str(spec.objective)),
        ("data set", str(record.data.get("name") or spec.dataset or "-")),
        ("sha256 of the data", str(record.data.get("sha256") or "-")),
        *((f"data: {key}", short(value)) for key, value in (record.data.get("summary") or {}).items()),
        ("sampler", f"{spec.sampler.name}, seed {spec.sampler.seed}"),
        ("pruner", spec.pruner.name),
        ("trials asked for", str(spec.n_trials or "as many as there is time or settings for")),
        ("most steps reported" if record.is_function else "most epochs", str(record.max_epochs or "none")),
    ]
    kept = [trial.provenance for trial in record.trials]
    for key in ("commit", "dirty", "snapshot", "studies", "torch", "optuna", "python", "device", "host"):
        seen = Counter(short(one[key]) for one in kept if one.get(key) is not None)
        if seen:
            rows.append((key, _all_of(seen)))
    times = [time for trial in record.trials for time in (trial.started, trial.ended) if time is not None]
    if times:
        rows.append(("from, to", f"{min(times):%Y-%m-%d %H:%M}, {max(times):%Y-%m-%d %H:%M}"))
    return Section("Provenance", [], tables=[Table(("", ""), rows)])


def _all_of(seen: Counter[str]) -> str:
    if len(seen) == 1:
        return next(iter(seen))
    return ", ".join(f"{text} ({plural(n, 'trial')})" for text, n in seen.most_common(6))
