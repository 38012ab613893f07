"""The report's section on parameters: how much each matters, what was tried, where the best ones lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.report import figures, findings, marginals
from studies.report.document import Section, Table
from studies.report.interactions import MIN_TRIALS, N_LEVELS, N_SHUFFLES, NOTICEABLE, SIGNIFICANT, evenly, interactions
from studies.spec.values import is_number
from studies.words import percent, plural, short

if TYPE_CHECKING:
    from studies.record.study import StudyRecord
    from studies.report.findings import Compared

INTERPLAY = "Interactions"
MAX_PAIRS = 10
MAX_DRAWN = 4


def parameters(record: StudyRecord, compared: Compared, found: dict[str, float]) -> Section | None:
    """Return each searched parameter against the metric, the most important first; None when nothing varies."""
    varied = [name for name in record.parameters if varies(record, name)]
    if not varied or not compared.trials:
        return None
    varied.sort(key=lambda name: -found.get(name, 0.0))
    best = record.leader or compared.trials[0]
    top = compared.trials[: max(findings.N_TOP, len(compared.trials) // 10)]
    rows = [
        (
            name,
            f"{found[name]:.1%}" if name in found else "-",
            _tried(record, name),
            _extent([trial.params[name] for trial in top if name in trial.params]),
            short(best.params[name]) if name in best.params else "-",
        )
        for name in varied
    ]
    header = ("parameter", "importance", "searched", f"in the best {len(top)}", "best")
    drawn = marginals.parameters(record, compared, {name: found.get(name) for name in varied})
    if found:
        drawn.insert(0, figures.importance(found))
        text = (
            "Importance is the share of each parameter in telling the best trials from the rest "
            f"(PED-ANOVA, {plural(len(compared.trials), compared.kind)})."
        )
        if len(compared.trials) < 50:
            text += " With so few trials it is a hint, no more."
    else:
        text = (
            f"Importances need {findings.MIN_TRIALS_FOR_IMPORTANCE} completed trials; there are {len(record.ranked)}."
        )
    return Section(
        "Parameters", [text], tables=[Table(header, rows)], figures=drawn, notes=[marginals.caption(record, compared)]
    )


def interplay(record: StudyRecord, compared: Compared) -> Section | None:
    """Return the pairs of parameters that interact, or why that cannot be told; None when fewer than two vary."""
    names = [name for name in record.parameters if varies(record, name)]
    if len(names) < 2 or not compared.trials:
        return None
    trials = evenly(sorted(compared.trials, key=lambda trial: trial.number))
    found = interactions(trials, record, names)
    if found is None:
        text = (
            f"Too few trials to tell which parameters interact: {plural(len(trials), compared.kind)} can be compared, "
            f"and it takes {MIN_TRIALS}, and more where many parameters vary."
        )
        return Section(INTERPLAY, [text])
    established = [one for one in found if one.established]
    if established:
        verb = "interacts" if len(established) == 1 else "interact"
        text = f"{len(established)} of {plural(len(found), 'pair')} {verb}: what one does depends on the other."
    else:
        text = (
            f"None of {plural(len(found), 'pair')} stands out: what two do together, chance does, or it is too little."
        )
    rows = [
        (f"{one.first.name}, {one.second.name}", percent(one.share), "yes" if one.established else "no",
         f"{one.chance:.3f}")
        for one in found[:MAX_PAIRS]
    ]  # fmt: skip
    values = np.array([trial.value for trial in trials], dtype=np.float64)
    return Section(
        INTERPLAY,
        [text],
        tables=[Table(("parameters", "variance beyond both alone", "established", "by chance"), rows)],
        figures=[figures.interaction(record, one, values) for one in established[:MAX_DRAWN]],
        notes=[
            *([compared.told(record.unit)] if compared.rung is not None else []),
            f"Functional ANOVA on {plural(len(trials), compared.kind)}, each range cut into {N_LEVELS} levels. By "
            f"chance: the share of {N_SHUFFLES} shuffles in which any pair looks as strong. Established: below "
            f"{SIGNIFICANT}, and {percent(NOTICEABLE)} of the variance at least. Trials were chosen by the sampler and "
            "pruned, not drawn evenly: a rare cell says little.",
        ],
    )


def varies(record: StudyRecord, name: str) -> bool:
    """Return whether trials differ in a parameter."""
    values = (short(trial.params[name]) for trial in record.trials if name in trial.params)
    first = next(values, None)
    return any(value != first for value in values)


def _tried(record: StudyRecord, name: str) -> str:
    if name in record.space.parameters:
        return str(record.space.parameters[name].domain)
    return _extent([trial.params[name] for trial in record.trials if name in trial.params])


def _extent(values: Sequence[Any]) -> str:
    numbers = [value for value in values if is_number(value)]
    if numbers and len(numbers) == len(values) and len(set(numbers)) > 3:
        return f"{short(min(numbers))} to {short(max(numbers))}"
    return ", ".join(f"{text} ({n})" for text, n in Counter(short(value) for value in values).most_common(4)) or "-"
