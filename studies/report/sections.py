"""A study's report, section by section, in the order in which a person asks: what won, how sure, why, at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from studies.report import confirmed, figures, findings
from studies.report.diagnose import ENDED, NOTICEABLE, Verdict, baseline, diagnose
from studies.report.document import Document, Section, Table, duration, exact, number, plural, short

if TYPE_CHECKING:
    from studies.report.summary import StudyReport, Trial

MAX_ROWS = 500
MAX_SWEEP_ROWS = 12
MAX_DETAIL = 160


def document(report: StudyReport) -> Document:
    """Return the whole report."""
    verdicts = diagnose(report)
    found = findings.importances(report)
    sections = [
        answer(report, verdicts),
        confirmed.section(report),
        theirs_against_ours(report),
        learning_curves(report),
        parameters(report, found),
        diagnoses(report, verdicts),
        epochs(report, verdicts),
        speed(report),
        outcomes(report),
        trials(report, verdicts),
        provenance(report),
    ]
    spec = report.spec
    dataset = report.data.get("name") or spec.dataset
    subtitle = f"{spec.objective} on {dataset or 'its own data'}; {spec.metric}, to {spec.direction}"
    return Document(spec.name, subtitle, [section for section in sections if section is not None])


def answer(report: StudyReport, verdicts: dict[int, Verdict]) -> Section:
    """Return the answer in one sentence, how sure it is, and the best parameters."""
    best = report.best
    if best is None:
        counts = ", ".join(f"{n} {state}" for state, n in report.counts.items())
        return Section("Answer", [f"No trial was completed ({counts}), so there is no answer yet."])
    texts = [_sentence(report, best), _certainty(report)]
    constant = baseline(report)
    if constant is not None:
        texts.append(f"A constant answer scores {number(constant)}.")
    verdict = verdicts.get(best.number)
    if verdict is not None and verdict.evidence:
        advice = f" Worth trying: {verdict.advice}." if verdict.advice else ""
        texts.append(f"The best trial's own curve says: {verdict.word} ({verdict.evidence}).{advice}")
    best = report.chosen or best
    facts = [(name, exact(value)) for name, value in best.params.items()]
    exactly = [(report.spec.metric, exact(best.value)), ("trial", str(best.number)), ("epoch", exact(best.epoch))]
    return Section(
        "Answer",
        texts,
        [Table(("best trial", ""), exactly), Table(("parameter", "best value"), facts)],
        [figures.values(report)],
        [f"`studies export {report.spec.name} -o best.yaml` writes these parameters."],
    )


def _sentence(report: StudyReport, best: Trial) -> str:
    epoch = f", epoch {best.epoch}" if best.epoch is not None else ""
    sentence = f"The best {report.spec.metric} is {number(best.value)} (trial {best.number}{epoch})"
    top = findings.spread_of(report.ranked[: findings.N_TOP])
    if top is None:
        return f"{sentence}; it is the only completed trial."
    return (
        f"{sentence}; the best {top.n} of {plural(len(report.ranked), 'completed trial')} lie between "
        f"{number(top.low)} and {number(top.high)} (standard deviation {number(top.sd)})."
    )


def _certainty(report: StudyReport) -> str:
    repeats = findings.repeats_of_best(report)
    spread = findings.spread_of(repeats)
    if report.confirmed is not None:
        return confirmed.sentences(report)[0]
    if spread is None:
        return (
            "This is one seed, the best of many, and so flattered by luck: the order among the best trials is not "
            "established until they are repeated under fresh seeds."
        )
    return (
        f"The same parameters under {spread.n} seeds give a mean of {number(spread.mean)} with a standard deviation of "
        f"{number(spread.sd)} ({number(spread.low)} to {number(spread.high)})."
    )


def theirs_against_ours(report: StudyReport) -> Section | None:
    """Return the published settings beside the best that the search found; None when there are no published ones."""
    published = findings.published_trials(report)
    if not published:
        return None
    ours = next((trial for trial in report.ranked if trial.published is None), None)
    theirs = next((trial for trial in report.ranked if trial.published is not None), None)
    columns = [*([ours] if ours else []), *published[:6]]
    names = ["ours" if trial is ours else f"published {trial.published}" for trial in columns]
    rows: list[list[str]] = [
        [report.spec.metric, *(_value_or_state(trial) for trial in columns)],
        ["trial", *(str(trial.number) for trial in columns)],
        ["epoch", *(exact(trial.epoch) for trial in columns)],
        ["time", *(duration(trial.seconds) for trial in columns)],
    ]
    for name in report.parameters:
        cells = [short(trial.params[name]) if name in trial.params else "-" for trial in columns]
        rows.append([name, *cells])
    text = "No published setting was completed here yet."
    if ours is not None and theirs is not None:
        text = _comparison(report, ours, theirs)
    return Section("Theirs against ours", [text], [Table(("", *names), rows)])


def _comparison(report: StudyReport, ours: Trial, theirs: Trial) -> str:
    """Return by how much the search beat the published settings, and whether that is more than luck may give."""
    gain = report.sign * ((ours.value or 0.0) - (theirs.value or 0.0))
    if gain == 0:
        return f"The search found nothing better than the authors' published settings ({number(theirs.value)})."
    text = (
        f"The search's best ({number(ours.value)}) is {number(abs(gain))} {'better' if gain > 0 else 'worse'} than "
        f"the best of the authors' published settings, trained here in the same way ({number(theirs.value)}, "
        f"trial {theirs.number})."
    )
    top = findings.spread_of(report.ranked[: findings.N_TOP])
    if top is not None and top.n == findings.N_TOP and abs(gain) <= top.high - top.low:
        text += f" That is no more than the best {top.n} trials differ among themselves: call it a draw."
    return text


def _value_or_state(trial: Trial) -> str:
    if trial.value is not None and trial.state == "complete":
        return number(trial.value)
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"{trial.state}{reason}"


def learning_curves(report: StudyReport) -> Section | None:
    """Return every trial's curve; None when none was reported."""
    if not any(trial.curve for trial in report.trials):
        return None
    counts = report.counts
    text = (
        f"{plural(counts['complete'], 'trial')} trained to the end, {counts['pruned']:,} were pruned and "
        f"{counts['failed']:,} failed."
    )
    return Section("Learning curves", [text], figures=[figures.curves(report)])


def parameters(report: StudyReport, found: dict[str, float]) -> Section | None:
    """Return each searched parameter against the metric, the most important first; None when nothing varies."""
    varied = [name for name in report.parameters if _varies(report, name)]
    if not varied or not report.ranked:
        return None
    varied.sort(key=lambda name: -found.get(name, 0.0))
    best = report.ranked[0]
    top = report.ranked[: max(findings.N_TOP, len(report.ranked) // 10)]
    rows = [
        (
            name,
            f"{found[name]:.1%}" if name in found else "-",
            _tried(report, name),
            _extent([trial.params[name] for trial in top if name in trial.params]),
            short(best.params[name]) if name in best.params else "-",
        )
        for name in varied
    ]
    header = ("parameter", "importance", "searched", f"in the best {len(top)}", "best")
    drawn = [figures.parameter(report, name, found.get(name)) for name in varied]
    if found:
        drawn.insert(0, figures.importance(found))
        text = (
            "Importance is the share of each parameter in telling the best trials from the rest "
            f"(PED-ANOVA, {plural(len(report.ranked), 'completed trial')})."
        )
        if len(report.ranked) < 50:
            text += " With so few trials it is a hint, no more."
    else:
        text = (
            f"Importances need {findings.MIN_TRIALS_FOR_IMPORTANCE} completed trials; there are {len(report.ranked)}."
        )
    return Section("Parameters", [text], [Table(header, rows)], drawn, [figures.caption(report)])


def _varies(report: StudyReport, name: str) -> bool:
    return len({short(trial.params[name]) for trial in report.trials if name in trial.params}) > 1


def _tried(report: StudyReport, name: str) -> str:
    if name in report.space.parameters:
        return str(report.space.parameters[name].domain)
    return _extent([trial.params[name] for trial in report.trials if name in trial.params])


def _extent(values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if numbers and len(numbers) == len(values) and len(set(numbers)) > 3:
        return f"{short(min(numbers))} to {short(max(numbers))}"
    return ", ".join(f"{text} ({n})" for text, n in Counter(short(value) for value in values).most_common(4)) or "-"


def diagnoses(report: StudyReport, verdicts: dict[int, Verdict]) -> Section | None:
    """Return how many trials had each verdict, with one trial's evidence and what to try."""
    if not verdicts:
        return None
    groups: dict[str, list[int]] = {}
    for trial in report.trials:
        if trial.number in verdicts and trial.continued_by is None:
            groups.setdefault(_kind(verdicts[trial.number].word), []).append(trial.number)
    rows = []
    for word, numbers in sorted(groups.items(), key=lambda item: -len(item[1])):
        example = verdicts[numbers[0]]
        evidence = f"trial {numbers[0]}: {example.evidence}" if example.evidence else ""
        rows.append((word, f"{len(numbers):,}", evidence, example.advice))
    text = "What each trial's curve says of it; the verdict of every trial is in the last table."
    return Section("Diagnoses", [text], [Table(("verdict", "trials", "for example", "worth trying"), rows)])


def _kind(word: str) -> str:
    return "overfits after epoch k" if word.startswith("overfits") else word


def epochs(report: StudyReport, verdicts: dict[int, Verdict]) -> Section | None:
    """Return what each number of epochs would have given, and where overfitting begins."""
    points = findings.sweep(report)
    if len(points) < 2:
        return None
    first = next(point for point in points if point.best == points[-1].best)
    texts = [f"The best value was reached at epoch {first.epoch} of {points[-1].epoch}."]
    typical = [point for point in points if point.typical is not None]
    texts.append(_typical_course(report, [(point.epoch, point.typical or 0.0) for point in typical]))
    over = sum(verdict.word.startswith("overfits") for verdict in verdicts.values())
    if over:
        texts.append(f"{plural(over, 'trial')} overfitted by the verdict of their curves.")
    rows = [
        (str(point.epoch), f"{point.n:,}", number(point.best), number(point.typical))
        for point in figures.spread_out(list(points), MAX_SWEEP_ROWS)
    ]
    table = Table(("epochs", "trials that reached it", "best so far", "median of those to the end"), rows)
    return Section("Epochs", texts, [table], [figures.sweep(report, points)])


def _typical_course(report: StudyReport, typical: Sequence[tuple[int, float]]) -> str:
    """Return what the median of the trials that ran to the end does after its best epoch."""
    (_, first), (last_epoch, last) = typical[0], typical[-1]
    peak_epoch, peak = max(typical, key=lambda point: (report.sign * point[1], -point[0]))
    if peak_epoch == last_epoch:
        return "The median of the trials that ran to the end was at its best in the last epoch: more may give more."
    course = f"The median of the trials that ran to the end is at its best in epoch {peak_epoch} ({number(peak)})"
    if abs(peak - last) <= NOTICEABLE * abs(peak - first):
        return f"{course} and flat after it."
    return f"{course} and ends at {number(last)}: overfitting begins there."


def speed(report: StudyReport) -> Section | None:
    """Return time and examples a second by batch size; None without a parameter of this name that varies."""
    found = findings.speeds(report)
    if len(found) < 2:
        return None
    rows = [
        (str(one.batch_size), str(one.n), duration(one.epoch_s), number(one.examples_per_s), number(one.value))
        for one in found
    ]
    header = ("batch size", "trials", "an epoch", "examples/s", f"median {report.spec.metric}")
    note = "Medians over trials. Other parameters differ between them, and trials of one machine share its cores."
    return Section("Speed", [], [Table(header, rows)], figures.speed(found), [note])


def outcomes(report: StudyReport) -> Section:
    """Return trials by outcome and reason, and where the hours went."""
    found = findings.outcomes(report)
    spent = findings.hours(report)
    rows = [(state, reason or "-", f"{n:,}") for (state, reason), n in found.items()]
    text = f"Trials trained for {_hours(spent.used)} in all"
    text += f", of which {_hours(spent.failed)} went to trials that failed." if spent.failed else "."
    if spent.saved:
        text += (
            f" Pruning saved about {_hours(spent.saved)}: what the pruned trials would have needed to "
            f"{plural(report.spec.max_epochs, 'epoch')} at their own pace."
        )
    errors = Counter(str(trial.attributes["detail"]) for trial in report.trials if "detail" in trial.attributes)
    tables = [Table(("outcome", "reason", "trials"), rows)]
    if errors:
        told = [(_cut(detail), f"{n:,}") for detail, n in errors.most_common(5)]
        tables.append(Table(("what trials said", "trials"), told))
    return Section("Outcomes and hours", [text], tables)


def _hours(hours: float) -> str:
    return duration(hours * 3600)


def trials(report: StudyReport, verdicts: dict[int, Verdict]) -> Section | None:
    """Return all trials, best first; of very many, the first ones and how to get the rest."""
    if not report.trials:
        return None
    ranked = report.ranked
    order = ranked + sorted((t for t in report.trials if t.state != "complete" or t.value is None), key=_after)
    names = [name for name in report.parameters if _varies(report, name)]
    header = ("trial", "state", report.spec.metric, "epoch", "epochs", "time", "verdict", *names)
    rows = [_row(trial, verdicts.get(trial.number), names) for trial in order[:MAX_ROWS]]
    text = plural(len(order), "trial") + (", best first." if ranked else ".")
    if len(order) > MAX_ROWS:
        text = (
            f"The first {MAX_ROWS} of {len(order):,} trials, best first; "
            f"`studies export {report.spec.name} --format csv` has all of them."
        )
    return Section("All trials", [text], [Table(header, rows, frozenset([0] if ranked else []))])


def _after(trial: Trial) -> tuple[int, int]:
    return (ENDED.index(trial.state) if trial.state in ENDED else len(ENDED)), trial.number


def _row(trial: Trial, verdict: Verdict | None, names: Sequence[str]) -> list[str]:
    state = f"{trial.state} ({trial.reason})" if trial.reason else trial.state
    return [
        str(trial.number),
        state if trial.published is None else f"{state}, published {trial.published}",
        number(trial.value if trial.state == "complete" else None),
        exact(trial.epoch),
        str(len(trial.curve)),
        duration(trial.seconds),
        verdict.word if verdict else "-",
        *(short(trial.params[name]) if name in trial.params else "-" for name in names),
    ]


def provenance(report: StudyReport) -> Section:
    """Return where the numbers come from."""
    spec = report.spec
    rows = [
        ("objective", spec.objective),
        ("data set", str(report.data.get("name") or spec.dataset or "-")),
        ("sha256 of the data", str(report.data.get("sha256") or "-")),
        *((f"data: {key}", short(value)) for key, value in (report.data.get("summary") or {}).items()),
        ("sampler", f"{spec.sampler.name}, seed {spec.sampler.seed}"),
        ("pruner", spec.pruner.name),
        ("trials asked for", str(spec.n_trials)),
        ("most epochs", str(spec.max_epochs)),
    ]
    kept = [trial.attributes.get("provenance") or {} for trial in report.trials]
    for key in ("commit", "dirty", "studies", "torch", "optuna", "python", "device", "host"):
        seen = Counter(short(one[key]) for one in kept if one.get(key) is not None)
        if seen:
            rows.append((key, _all_of(seen)))
    times = [time for trial in report.trials for time in (trial.started, trial.ended) if time is not None]
    if times:
        rows.append(("from, to", f"{min(times):%Y-%m-%d %H:%M}, {max(times):%Y-%m-%d %H:%M}"))
    return Section("Provenance", [], [Table(("", ""), rows)])


def _all_of(seen: Counter[str]) -> str:
    if len(seen) == 1:
        return next(iter(seen))
    return ", ".join(f"{text} ({plural(n, 'trial')})" for text, n in seen.most_common(6))


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"
