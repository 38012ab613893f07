"""What the looking commands print: plain text, aligned, for a person and for grep alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from studies import names
from studies import spec as specs
from studies.data import sets as datasets
from studies.errors import StudiesError
from studies.spec.program import Program
from studies.words import cell, data_size, infeasible, lost, number, one_line, plural, shown

MAX_POINTS = 20  # of a front

if TYPE_CHECKING:
    from studies.data.sets import DataSet
    from studies.record.front import Front
    from studies.record.progress import Progress
    from studies.settings import Settings
    from studies.spec import StudySpec
    from studies.spec.space import Space
    from studies.storage import Storage


def catalog(settings: Settings) -> str:
    """Return every study of the catalog, and those that only the storage knows."""
    from studies.storage import is_there, open_storage
    from studies.study import started
    from studies.view.line import n_of_trials

    shipped = {name: specs.load(name) for name in specs.catalog()}
    known: dict[str, Progress] = {}
    if is_there(settings):  # an embedded server that never ran is not started for it
        with open_storage(settings) as storage:
            known = _progress_of(storage, started(storage))
    # From what lies there: asking the objectives, as `studies data list` does, would import torch.
    manifests = settings.home.glob("prepared/*/manifest.json")
    prepared = {json.loads(file.read_text(encoding="utf-8")).get("name") for file in manifests}
    rows = [("study", "data set", "state", "trials", "best", "what it tunes")]
    for name in [*shipped, *sorted(set(known) - set(shipped))]:
        progress, study = known.get(name), names.confirmed(name)
        spec = shipped.get(names.parts(study or name)[0])
        typed = progress.name if progress else name
        dataset, state, description = "-", "-", "(not in the catalog)"
        if spec is not None:
            dataset, description = spec.dataset, spec.description
            state = "prepared" if dataset in prepared else "not prepared yet"
        description = f"the best of {names.confirmed(typed)} under fresh seeds" if study else description
        trials = n_of_trials(progress) if progress else "-"
        rows.append((typed, dataset, state, trials, _best(progress), description))
    return aligned(rows)


def _best(progress: Progress | None) -> str:
    """Return the best value so far, or how many are best where there are several metrics."""
    if progress is not None and progress.front is not None:
        return f"front of {len(progress.front.points)}"
    return "-" if progress is None or progress.best is None else number(progress.best.value)


def _n_trials(spec: StudySpec, space: Space) -> str:
    every = space.settings()
    if every is not None and len(every) <= (spec.n_trials or len(every)):
        return f"{plural(len(every), 'trial')}, one for each setting,"
    ends = [] if spec.n_trials is None else [plural(spec.n_trials, "trial")]
    ends += [] if spec.limits.hours is None else [f"{spec.limits.hours:g} hours of trials"]
    return " or ".join(ends)


def _dataset(spec: StudySpec, settings: Settings) -> str:
    if isinstance(spec.objective, Program) or not spec.dataset:
        return spec.dataset and f"{spec.dataset} (read by the program itself)"
    return f"{spec.dataset} ({datasets.state_of(spec.objective, spec.dataset, settings)})"


def study(spec: StudySpec, settings: Settings) -> str:
    """Return one study: its spec and the space it searches."""
    from studies.run.launchers.local import LocalLauncher

    with TemporaryDirectory() as logs, closing(LocalLauncher(spec, settings, 1, directory=Path(logs))) as launcher:
        space = launcher.describe(None).space
    facts = [
        ("study", spec.name),
        ("", spec.description),
        ("objective", str(spec.objective)),
        ("data set", _dataset(spec, settings)),
        ("metrics" if spec.has_several else "metric", spec.aim),
        ("budget", f"{_n_trials(spec, space)} of at most {plural(spec.max_epochs, 'epoch')}"),
        ("sampler", f"{spec.sampler.name}, seed {spec.sampler.seed}"),
        ("pruner", spec.pruner.name),
        ("workers a GPU", _workers_per_gpu(spec)),
        ("starts with", plural(len(spec.start_with), "given trial") if spec.start_with else ""),
    ]
    facts += [("requires", condition.text) for condition in space.require]
    facts += [("within", f"{name} {bound}") for name, bound in spec.constraints.items()]
    return aligned([fact for fact in facts if fact[1]]) + "\n\n" + _space(spec, space, settings)


def _space(spec: StudySpec, space: Space, settings: Settings) -> str:
    """Return the parameters; of a plain function, which declares none, what its trials asked for so far."""
    end = ""
    if not space.parameters and not isinstance(spec.objective, Program):
        space = _asked(spec, settings)
        if not space.parameters:
            return "The function alone knows its parameters; they stand here once its trials have asked for them."
        end = "\n\nIts trials asked for these so far; the function declares none."
    rows = [("parameter", "values", "default", "exists when")]
    for name, parameter in space.parameters.items():
        if not space.possible(parameter):
            continue
        when = ", ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in parameter.when.items())
        has_default = parameter.default is not None or None in parameter.domain
        rows.append((name, str(parameter.domain), shown(parameter.default) if has_default else "-", when))
    return aligned(rows) + end


def _asked(spec: StudySpec, settings: Settings) -> Space:
    """Return what the trials of this study's function asked for; nothing before it was launched."""
    from studies.spec.space import Space
    from studies.storage import is_there, open_storage
    from studies.study import get, space_asked, spec_of, started

    with suppress(StudiesError):  # without its storage a study file can be shown all the same
        if is_there(settings):
            with open_storage(settings) as storage:
                name = names.newest(spec.name, started(storage))
                study = None if name is None else get(storage, names.exact(name))
                if study is not None and spec_of(study).objective == spec.objective:
                    return space_asked(study.get_trials(deepcopy=False))
    return Space({})


def _workers_per_gpu(spec: StudySpec) -> str:
    n = spec.resources.workers_per_gpu
    if not spec.resources.gpus_per_worker:
        return ""
    return str(n) if isinstance(n, int) else f"{n}: as many as fit and make it faster, of those that --workers starts"


def status(settings: Settings, name: str | None) -> str:
    """Return how one study stands, or all; of another Optuna program's, its trials by state and its best value.

    Raises StudyNotStarted for one that the storage does not have.
    """
    from studies.storage import is_there, open_storage
    from studies.study import not_started, started

    found: list[Progress] = []
    known: list[str] = []
    foreign: dict[str, str] = {}
    if is_there(settings):
        with open_storage(settings) as storage:
            known = started(storage)
            meant = None if name is None else names.newest(name, known)
            wanted = known if name is None else [] if meant is None else [meant, names.confirmation(meant)]
            found = list(_progress_of(storage, wanted).values())
            foreign = {} if found and name is not None else _foreign(storage)
    if name is not None and not found:
        if name not in foreign:
            raise not_started(name, known)
        return f"{foreign[name]}\n  Created by another Optuna program, not by `studies`; `studies dashboard` shows it."
    if not found and not foreign:
        return "No study has been launched in this storage; `studies list` shows what there is to launch."
    text = _drawn(found, with_front=name is not None)
    if foreign:
        text += f"\nOf other Optuna programs, and shown by `studies status NAME`: {', '.join(map(one_line, foreign))}."
    return text + _space_used(settings)


def _drawn(found: Iterable[Progress], *, with_front: bool) -> str:
    """Return how studies stand, each with its workers."""
    from rich.console import Console

    from studies.view.live import workers_table

    console = Console(width=120, highlight=False, color_system=None, force_jupyter=False)
    with console.capture() as capture:
        for progress in found:
            for line in _lines(progress, with_front=with_front):
                console.print(line, soft_wrap=True, markup=False)
            if progress.workers:
                console.print(workers_table(progress))
    return capture.get().rstrip()


def _lines(progress: Progress, *, with_front: bool) -> Iterator[str]:
    """Yield how a study stands, but not its workers."""
    from studies.view.line import line_of

    yield line_of(progress)
    if progress.front is not None and with_front:
        yield front(progress.front)
    if progress.n_infeasible:
        yield f"  {infeasible(progress.n_infeasible)}"
    if n_lost := progress.states.get("LOST"):
        yield f"  {lost(n_lost)}"
    if progress.verdicts:
        yield f"  verdicts: {', '.join(f'{n} {word}' for word, n in progress.verdicts.items())}"
    yield from (f"  shared GPU: {line}" for line in progress.packing)


def front(found: Front) -> str:
    """Return the points of a front, indented; of many the first ones."""
    rows = found.rows
    more = len(rows) - 1 - MAX_POINTS
    text = aligned([("", *row) for row in rows[: MAX_POINTS + 1]])
    return text + (f"\n  and {more} more; `studies report` has all of them" if more > 0 else "")


def _space_used(settings: Settings) -> str:
    from studies.artifacts import open_store

    where = "on this machine" if settings.artifacts is None else f"in {settings.artifacts}"
    try:
        used = sum(open_store(settings, "checkpoints").sizes().values())
    except OSError as error:
        return f"\nCheckpoints {where}: unknown ({error})."
    return f"\nCheckpoints {where}: {used / 2**20:.1f} MiB." if used else ""


def data_sets(found: Sequence[DataSet], settings: Settings) -> str:
    """Return every data set: whose it is, its licence, where it is, its size, and whether it is prepared."""
    rows = [("data set", "objectives", "licence and source", "prepared", "size", "state")]
    for one in found:
        paths = ", ".join(path.rpartition(".")[2] for path in one.objectives)
        size, prepared = data_size(one.n_bytes) if one.files else "-", "yes" if one.prepared else "no"
        rows.append((one.name, paths, one.rights or "-", prepared, size, one.stands(settings.data)))
    return aligned(rows)


def prepared_data(name: str, prepared: Any, before: int, peak: int) -> str:
    """Return what a preparation made. before, peak: the process's memory in bytes, before it and at most."""
    rows = [("data set", name)]
    rows += [(what, str(getattr(prepared, what))) for what in ("directory", "sha256") if hasattr(prepared, what)]
    rows += [(key.replace("_", " "), f"{value:,}") for key, value in getattr(prepared, "summary", {}).items()]
    rows += [("peak memory", f"{data_size(peak)}, {data_size(before)} of it before")]
    return aligned(rows)


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of text in columns two spaces apart."""
    rows = [[cell(text) for text in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _foreign(storage: Storage) -> dict[str, str]:
    """Return how each study stands that another Optuna program created in this storage: a line, by its name."""
    from studies.view.line import states_of

    lines = {}
    ledger = storage.ledger
    for name, study in ledger.foreign_studies().items():
        maximize = study.direction is names.Direction.MAXIMIZE
        best = None if study.direction is None else ledger.best(study.study_id, maximize=maximize)
        value = "" if best is None else f" · best {number(best[0])} (trial {best[1]})"
        value = " · several objectives, so no single best" if study.direction is None else value
        lines[name] = f"{one_line(name)}: {states_of(ledger.states(study.study_id))}{value}"
    return lines


def _progress_of(storage: Storage, wanted: Collection[str]) -> dict[str, Progress]:
    """Return how the studies of these names stand, the oldest first, by name."""
    from studies.record.progress import read_packing, read_progress
    from studies.record.verdicts import counts

    ledger = storage.ledger
    studies = ledger.started_studies()
    known = {study.name for study in studies}
    return {
        study.name: replace(
            read_progress(
                storage, study.study_id, study.name, study.metrics, study.n_repeats, names.typed(study.name, known)
            ),
            verdicts=counts(ledger, study.study_id),
            n_infeasible=ledger.n_infeasible(study.study_id),
            packing=read_packing(storage, study.study_id),
        )
        for study in studies
        if study.name in wanted
    }
