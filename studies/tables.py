"""What the looking commands print: plain text, aligned, for a person and for grep alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from studies import names
from studies import spec as specs
from studies.checkpoint import used_bytes

if TYPE_CHECKING:
    from studies.report.progress import Progress
    from studies.report.summary import StudyReport
    from studies.settings import Settings
    from studies.spec import StudySpec
    from studies.storage import Storage


def catalog(settings: Settings) -> str:
    """Return every study of the catalog, and those that only the storage knows."""
    shipped = {name: specs.load(name) for name in specs.catalog()}
    started = {progress.name: progress for progress in _started(settings)}
    rows = [("study", "data set", "state", "trials", "best", "what it tunes")]
    for name in [*shipped, *sorted(set(started) - set(shipped))]:
        progress = started.get(name)
        trials = f"{progress.budget.done}/{progress.budget.n_trials}" if progress else "-"
        best = f"{progress.best:.4f}" if progress and progress.best is not None else "-"
        study = names.confirmed(name)
        known = shipped.get(names.parts(study or name)[0])
        dataset, description = (known.dataset, known.description) if known else ("-", "(not in the catalog)")
        description = f"the best of {study} under fresh seeds" if study else description
        rows.append((name, dataset, _data_state(settings, dataset), trials, best, description))
    return aligned(rows)


def study(spec: StudySpec, settings: Settings) -> str:
    """Return one study: its spec and the space it searches."""
    from studies.launchers import make_launcher

    launcher = make_launcher("local", spec, settings, 1)
    try:
        space = spec.resolve(launcher.describe(None).space)
    finally:
        launcher.close()
    facts = [
        ("study", spec.name),
        ("", spec.description),
        ("objective", spec.objective),
        ("data set", f"{spec.dataset} ({_data_state(settings, spec.dataset)})"),
        ("metric", f"{spec.metric}, to {spec.direction}"),
        ("budget", f"{spec.n_trials} trials of at most {spec.max_epochs} epochs"),
        ("sampler", f"{spec.sampler.name}, seed {spec.sampler.seed}"),
        ("pruner", spec.pruner.name),
        ("starts with", f"{len(spec.start_with)} given trials"),
    ]
    rows = [("parameter", "values", "default", "exists when")]
    for name, parameter in space.parameters.items():
        if not space.possible(parameter):
            continue
        when = ", ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in parameter.when.items())
        rows.append((name, str(parameter.domain), json.dumps(parameter.default), when))
    return aligned([fact for fact in facts if fact[1]]) + "\n\n" + aligned(rows)


def status(settings: Settings, name: str | None) -> str:
    """Return how one study stands, or all; StudyNotStarted for one that the storage does not have."""
    from rich.console import Console

    from studies.study import not_started
    from studies.view import line_of, workers_table

    found = _started(settings)
    if name is not None:
        known = [progress.name for progress in found]
        meant = names.newest(name, known)
        if meant is None:
            raise not_started(name, known)
        found = [progress for progress in found if progress.name in (meant, names.confirmation(meant))]
    if not found:
        return "No study has been launched in this storage; `studies list` shows what there is to launch."
    console = Console(width=120, highlight=False, color_system=None)
    with console.capture() as capture:
        for progress in found:
            console.print(line_of(progress), soft_wrap=True, markup=False)
            if progress.workers:
                console.print(workers_table(progress))
    used = used_bytes(settings.home / "checkpoints")
    kept = f"\nCheckpoints on this machine: {used / 2**20:.1f} MiB." if used else ""
    return capture.get().rstrip() + kept


def best(report: StudyReport) -> str:
    """Return the best trial's value and parameters; after a confirmation, the winner's."""
    counts = ", ".join(f"{n} {state}" for state, n in report.counts.items())
    found = report.chosen
    if found is None:
        return f"{report.spec.name}: no trial was completed ({counts})."
    rows = [(f"  {name}", json.dumps(value)) for name, value in found.params.items()]
    epoch = f", epoch {found.epoch}" if found.epoch else ""
    fresh = report.confirmed
    mean = f"; mean {fresh.mean:.4f} under {len(fresh.values)} fresh seeds" if fresh else ""
    facts = f"(trial {found.number}{epoch}{mean}; {counts})"
    return f"{report.spec.name}: best {report.spec.metric} {found.value:.4f} {facts}\n{aligned(rows)}"


def confirmation(report: StudyReport) -> str:
    """Return how the contenders stand under fresh seeds, and what follows."""
    from studies.report import confirmed

    found = confirmed.table(report)
    return aligned([found.header, *found.rows]) + "\n\n" + "\n".join(confirmed.sentences(report))


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of text in columns two spaces apart."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _started(settings: Settings) -> list[Progress]:
    """Return how every study in the storage stands; an embedded server that never ran is not started for it."""
    from studies.storage import open_storage
    from studies.storage.embedded import EmbeddedServer

    if settings.storage is None and not EmbeddedServer(settings).exists:
        return []
    with open_storage(settings) as storage:
        return _progress_of_all(storage)


def _progress_of_all(storage: Storage) -> list[Progress]:
    from studies.report.progress import read_progress

    studies = storage.ledger.read(
        """SELECT s.study_id, s.study_name, d.direction::text
             FROM studies s JOIN study_directions d USING (study_id)
             JOIN study_user_attributes a ON a.study_id = s.study_id AND a.key = %s ORDER BY s.study_id""",
        (names.SPEC,),
    )
    return [read_progress(storage.ledger, key, name, direction.lower()) for key, name, direction in studies]


def _data_state(settings: Settings, dataset: str) -> str:
    for manifest in sorted(settings.home.glob("prepared/*/manifest.json")):
        if json.loads(manifest.read_text(encoding="utf-8")).get("name") == dataset:
            return "prepared"
    return "not prepared yet"
