"""The report's answer: what won, how sure that is, and the settings of `start_with` beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.names import State
from studies.pareto import dominates, losses_of
from studies.record.comparison import baseline, n_classes_of
from studies.record.diagnose import LEARNED
from studies.report import confirmed, figures, findings, front
from studies.report.document import Section, Table
from studies.words import duration, exact, infeasible, number, plural, short, shown

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord
    from studies.record.verdicts import Verdict


def answer(record: StudyRecord, verdicts: dict[int, Verdict]) -> Section:
    """Return the answer in one sentence, how sure it is, and the best parameters."""
    best = record.best
    if record.spec.has_several and record.front:
        return front.answer(record)
    if best is None:
        return Section("Answer", [f"There is no answer yet, for {record.lacks} ({record.states})."])
    texts = [_sentence(record, best), _certainty(record)]
    constant = baseline(best, record.spec.metric, n_classes_of(record.data))
    if constant is not None:
        texts.append(f"A trivial answer scores {number(constant)}.")
    if record.simple is not None:
        texts.append(_against_simple(record, best, record.simple))
    verdict = verdicts.get(best.number)
    if verdict is not None and verdict.evidence:
        advice = f" Worth trying: {verdict.advice}." if verdict.advice else ""
        texts.append(f"The best trial's own verdict: {verdict.word} ({verdict.evidence}).{advice}")
    if record.n_infeasible:
        texts.append(infeasible(record.n_infeasible))
    facts = [(name, shown(value)) for name, value in best.params.items()]
    exactly = [(record.spec.metric, exact(best.value)), ("trial", str(best.number)), ("epoch", exact(best.epoch))]
    if best.repeated is not None:
        exactly[:1] = [(f"mean {record.spec.metric}", exact(best.mean)), (record.spec.metric, exact(best.value))]
    return Section(
        "Answer",
        texts,
        tables=[Table(("best trial", ""), exactly), Table(("parameter", "best value"), facts)],
        figures=[figures.values(record)],
        notes=[f"`studies export {record.typed} -o best.yaml` writes these parameters."],
    )


def _sentence(record: StudyRecord, best: TrialRecord) -> str:
    epoch = f", epoch {best.epoch}" if best.epoch is not None else ""
    sentence = f"The best {record.spec.metric} is {number(best.value)} (trial {best.number}{epoch})"
    if best.repeated is not None:
        sentence = f"The best {record.spec.metric} is {number(best.mean)} (trial {best.number}; {best.repeated})"
    if best is not record.ranked[0]:
        top, most = record.ranked[0], "highest" if record.sign > 0 else "lowest"
        sentence = (
            f"The best trial is {best.number}, confirmed under fresh seeds; in the search its {record.spec.metric} was "
            f"{number(best.ranking)}, and the {most} one was {number(top.ranking)} (trial {top.number})"
        )
    if best.repeated is not None:
        return f"{sentence}; {_other_settings(record, best)}."
    spread = findings.spread_of(findings.near_best(record, LEARNED)[: findings.N_TOP])
    if spread is None:
        alone = "it is the only completed trial" if len(record.ranked) == 1 else "no other trial learned half as much"
        return f"{sentence}; {alone}."
    return (
        f"{sentence}; the best {spread.n} of {plural(len(record.ranked), 'completed trial')} lie between "
        f"{number(spread.low)} and {number(spread.high)} (standard deviation {number(spread.sd)})."
    )


def _other_settings(record: StudyRecord, best: TrialRecord) -> str:
    """Return how the other repeated settings stand, and how many have fewer seeds than the best one."""
    others = [one.repeated for one in record.ranked if one.repeated is not None and one is not best]
    means = [one.mean for one in others if best.repeated is not None and one.n >= best.repeated.n]
    n_fewer = len(others) - len(means)
    fewer = f"; {plural(n_fewer, 'setting')} with fewer seeds {'is' if n_fewer == 1 else 'are'} behind" * bool(n_fewer)
    if not means:
        return f"no other setting has as many seeds{fewer}"
    if len(means) == 1:
        return f"the mean of the other setting with as many seeds is {number(means[0])}{fewer}"
    low, high = number(min(means)), number(max(means))
    return f"the means of {len(means)} other settings with as many seeds lie between {low} and {high}{fewer}"


def _against_simple(record: StudyRecord, best: TrialRecord, simple: float) -> str:
    direction = record.spec.direction
    says = f"{record.data['baseline_model'].capitalize()} scores {number(simple)}"
    if direction.better(simple, record.ranked[0].ranking or 0.0):
        return (
            f"{says}, which is better than every trial: either the trials need more steps (more epochs, a smaller "
            "batch_size), or these data need no such model."
        )
    return f"{says}, which is better than this trial." if direction.better(simple, best.ranking or 0.0) else f"{says}."


def _certainty(record: StudyRecord) -> str:
    repeats = findings.repeats_of_best(record)
    spread = findings.spread_of(repeats)
    if record.confirmed is not None:
        return confirmed.sentences(record)[0]
    if spread is None:
        return (
            "This is one seed, the best of many, and so flattered by luck: the order among the best trials is not "
            "established until they are repeated under fresh seeds."
        )
    return (
        f"The same parameters under {spread.n} seeds give a mean of {number(spread.mean)} with a standard deviation of "
        f"{number(spread.sd)} ({number(spread.low)} to {number(spread.high)})."
    )


def given_against_found(record: StudyRecord) -> Section | None:
    """Return the settings of `start_with` beside the best that the search found; None when none were given."""
    every = findings.given_trials(record)
    if not every:
        return None
    others = (trial for trial in (record.best, *record.ranked) if trial is not None and trial.given is None)
    found, given = next(others, None), record.best_given
    columns = [*([found] if found else []), *every[:6]]
    names = ["found" if trial is found else f"given {trial.given}" for trial in columns]
    rows: list[list[str]] = [
        *(
            [name, *(_value_or_state(trial, place) for trial in columns)]
            for place, name in enumerate(record.spec.metrics)
        ),
        ["trial", *(str(trial.number) for trial in columns)],
        ["epoch", *(exact(trial.epoch) for trial in columns)],
        ["time", *(duration(trial.seconds) for trial in columns)],
    ]
    for name in record.parameters:
        cells = [short(trial.params[name]) if name in trial.params else "-" for trial in columns]
        rows.append([name, *cells])
    text = f"No {'setting of `start_with`' if given is None else 'trial of the search'} was completed here yet."
    if found is not None and given is not None:
        text = (_domination if record.spec.has_several else _comparison)(record, found, given)
    return Section("Given against found", [text], tables=[Table(("", *names), rows)])


def _comparison(record: StudyRecord, found: TrialRecord, given: TrialRecord) -> str:
    """Return by how much the search beat the settings of `start_with`, and whether that is more than luck may give.

    Where a confirmation has compared the two, its verdict counts and no other.
    """
    gain = record.sign * ((found.ranking or 0.0) - (given.ranking or 0.0))
    apart = f"{number(abs(gain))} {'better' if gain > 0 else 'worse'} than" if gain else "as good as"
    text = (
        f"What the search found ({number(found.ranking)}, trial {found.number}) is {apart} the best that `start_with` "
        f"gives, trained in the same way ({number(given.ranking)}, trial {given.number})."
    )
    if record.spec.repeats > 1 and record.confirmed is None:
        return f"{text} These are means over seeds{_seeds_of(found, given)}."
    if record.confirmed is not None and (decided := confirmed.of_given(record)) is not None:
        return f"{text} That is one seed each. Under fresh seeds: {decided}"
    if gain == 0:
        return text
    luck = findings.luck(record)
    if luck is not None and abs(gain) <= luck:
        text += (
            f" That is no more than luck may give, for trials near the best differ by {number(luck)}: call it a draw, "
            f"unless `studies confirm {record.typed}` says otherwise."
        )
    else:
        text += f" That is one seed each; `studies confirm {record.typed}` says how sure it is."
    return text


def _seeds_of(*settings: TrialRecord) -> str:
    """Return standard deviation and number of seeds of repeated settings, in parentheses."""
    found = [f"sd {number(one.sd)} of {one.repeated.n}" for one in settings if one.repeated is not None]
    return f" ({' and '.join(found)})" if found else ""


def _domination(record: StudyRecord, found: TrialRecord, given: TrialRecord) -> str:
    """Return whether the search found what is as good as `start_with` in every metric, and better in one."""
    losses = losses_of(given.values, record.spec.directions)
    better = [one for one in record.front if dominates(losses_of(one.values, record.spec.directions), losses)]
    better = [one for one in better if one.number != given.number]
    if not better:
        return f"No trial is better than the best of `start_with` (trial {given.number}) in every metric."
    which = f"{'trial' if len(better) == 1 else 'trials'} {', '.join(str(one.number) for one in better)}"
    return f"As good as the best of `start_with` (trial {given.number}) or better in every metric: {which}."


def _value_or_state(trial: TrialRecord, place: int) -> str:
    if trial.values and trial.state == State.COMPLETE:
        return number(trial.values[place] if trial.mean is None else trial.mean)
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"{trial.state}{reason}"
