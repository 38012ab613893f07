"""What commands say when their work is done: the best trial, how contenders stand, a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studies import tables
from studies.spec.program import Program
from studies.words import cell, number, plural, shown

if TYPE_CHECKING:
    from studies.model.result import TrainingResult
    from studies.record.study import StudyRecord


def best(record: StudyRecord) -> str:
    """Return the best trial's value and parameters; after a confirmation, the winner's."""
    counts = record.states
    found = record.best
    if found is None and record.front:
        from studies.record.choice import front_of

        front = front_of(record)
        return f"{record.typed}: {front} ({counts})\n{tables.front(front)}"
    if found is None:
        return f"{record.typed}: {record.lacks} ({counts}); `studies report {record.typed}` says more."
    rows = [(f"  {name}", shown(value)) for name, value in found.params.items()]
    epoch = f", epoch {found.epoch}" if found.epoch else ""
    fresh = record.confirmed
    repeated = "" if found.repeated is None else f"; {found.repeated}"
    mean = f"; mean {number(fresh.mean)} under {plural(len(fresh.values), 'fresh seed')}" if fresh else ""
    facts = f"(trial {found.number}{epoch}{repeated}{mean}; {counts})"
    end = f"\nEvery setting of the space was tried: {record.n_settings}." if record.is_used_up else ""
    values = ", ".join(f"{cell(name)} {number(value)}" for name, value in record.named(found).items())
    values = values if record.spec.has_several else f"{cell(record.spec.metric)} {number(found.ranking)}"
    return f"{record.typed}: best {values} {facts}\n{tables.aligned(rows)}{end}"


def confirmation(record: StudyRecord) -> str:
    """Return how the contenders stand under fresh seeds, and what follows."""
    from studies.report import confirmed

    found = confirmed.table(record)
    return tables.aligned([found.header, *found.rows]) + "\n\n" + "\n".join(confirmed.sentences(record))


def trained(result: TrainingResult, directory: Path) -> str:
    """Return how a training came out: its numbers, the trial's, and what to do with it."""
    from studies.model import WEIGHTS
    from studies.model.result import compared, sections

    if not (directory / WEIGHTS).is_file():
        return _run_once_more(result, directory)
    metric, lines = result.winner.metric, []
    if result.value is not None:
        lines.append(f"Kept: epoch {result.best} of {len(result.history)}, validation {metric} {number(result.value)}.")
    if result.test is None:
        lines.append("The objective's training has no test(), so no test rows were scored.")
    else:
        test = sections(result.test)
        constant = test["baseline"].get(metric)
        against = "" if constant is None else f"; a model that looks at nothing has {number(constant)}"
        found = test["scored"].get(metric)
        lines.append(f"Test {metric} {'unknown' if found is None else number(found)}, scored once{against}.")
    lines += [said] if (said := compared(result)) else []
    asked = result.answers is not None
    ask = f"Next: `studies predict {directory} INPUT` asks it" if asked else "Its objective does not say how to ask it"
    lines.append(f"Written: {directory}, with its card README.md. {ask}.")
    return "\n".join(lines)


def _run_once_more(result: TrainingResult, directory: Path) -> str:
    """Return the same of a program or a plain function."""
    from studies.model import CHECKPOINTS
    from studies.model.result import compared

    metric, n_epochs, is_program = (
        result.winner.metric,
        len(result.history),
        isinstance(result.winner.objective, Program),
    )
    who, told = ("program", "printed") if is_program else ("function", "returned")
    best = f"Best: epoch {result.best} of {n_epochs}, " if is_program else "Returned: "
    lines = [f"{best}{metric} {number(result.value)}."]
    lines += [said] if (said := compared(result)) else []
    has_files = (directory / CHECKPOINTS).is_dir()
    kept = "kept, " if has_files else ""
    written = f"Written: {directory}, with what the {who} {kept}{told} and reported, and a card README.md."
    if not has_files:
        where = "{checkpoints}, a directory that the command can name" if is_program else "studies.checkpoints(trial)"
        written += f" It kept no model: have it write one into {where}."
    return "\n".join([*lines, written])
