"""The pages that show how studies stand, and nothing else: the list, one study, its answer, its report."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

from studies import names
from studies.logs.places import logs_of_processes, logs_of_workers, of_trials, trial_log
from studies.names import CONTINUED_BY, State
from studies.record.overview import Overview, read_overviews
from studies.record.progress import read_settings
from studies.record.reading import read, trial_of
from studies.record.verdicts import counts
from studies.report.answer import answer
from studies.report.page import render
from studies.spec.space import Space
from studies.study import budget_of, space_of, spec_of, started
from studies.web.acting import ACTIONS, offered
from studies.web.curves import Drawing, drawing
from studies.web.following import stream
from studies.web.site import Site, site_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from studies.record.study import TrialRecord

N_CURVES, N_BEST, N_FRONT, N_NEWEST, N_FAILED = 60, 10, 50, 20, 50
# The report is one page with its scripts and figures inside. It may run them, and reach nothing.
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; sandbox "
    "allow-scripts allow-downloads; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def studies(request: Request) -> Response:
    """Every study with its state, progress, best value and the time that is left."""
    return site_of(request).page(request, "studies.html", live=live_studies(site_of(request)), done=_done(request))


def live_studies(site: Site) -> str:
    """Return the part of the list that changes."""

    def draw() -> str:
        foreign = site.storage.ledger.foreign_studies()
        return site.text("studies_live.html", studies=read_overviews(site.storage, site.pages), foreign=foreign)

    return site.lately.get("studies", draw)


def study(request: Request) -> Response:
    """One study: how it stands, what it has found, and what may be done with it."""
    site = site_of(request)
    found, overview = site.study(request.path_params["name"])
    return site.page(
        request, "study.html", overview=overview, spec=spec_of(found), live=live_study(site, found.study_name),
        done=_done(request),
    )  # fmt: skip


def _done(request: Request) -> str | None:
    """Return what is said after an action; the address names the action, and holds no words of its own."""
    action = ACTIONS.get(request.query_params.get("done", ""))
    return None if action is None else action.done


def live_study(site: Site, name: str) -> str:
    """Return the part of a study's page that changes. Raises StudyNotStarted."""
    return site.lately.get(("study", name), lambda: _draw_study(site, name))


def _draw_study(site: Site, name: str) -> str:
    found, overview = site.study(name)
    study_id, spec, space, ledger = found._study_id, spec_of(found), space_of(found), site.storage.ledger
    workers = sorted(ledger.workers(study_id), key=lambda worker: (worker.host, worker.worker_id))
    running = {(worker.host, worker.pid) for worker in workers}
    top = _best(site, overview, space)
    newest = [trial_of(one, space) for one in site.pages.newest(study_id, N_NEWEST)]
    failed = _older_failed(site, overview, space, newest)
    home, uid = site.settings.home, found.user_attrs[names.UID]
    directory = of_trials(home / "logs" / found.study_name, uid)
    return site.text(
        "study_live.html",
        overview=overview,
        spec=spec,
        actions=offered(overview),
        has_answer=overview.row.complete > 0 and names.confirmed(name) is None,
        budget=budget_of(site.storage, found, spec),
        logged={trial.number for trial in (*newest, *failed) if trial_log(directory, trial.number).exists()},
        logs_of_workers=logs_of_processes(logs_of_workers(home, found.study_name, uid), running),
        on_gpus=any(worker.usage.gpu_percent is not None for worker in workers),
        machines=[(host, list(own)) for host, own in groupby(workers, key=lambda worker: worker.host)],
        drawing=_drawing(site, overview),
        n_curves=N_CURVES,
        verdicts=counts(ledger, study_id),
        top=top,
        parameters=_parameters(space, top),
        newest=newest,
        failed=failed,
        n_failed=N_FAILED,
    )


def _drawing(site: Site, overview: Overview) -> Drawing | None:
    """Return the curves, those of the best trial or of the front on top; of several metrics the first one's."""
    study_id, front = overview.row.study_id, overview.front
    if len(overview.row.metrics) > 1:
        best = [point.trial for point in front.points[:N_FRONT]] if front else []
        return drawing(site.pages.courses(study_id, N_CURVES, best, overview.row.metric), best)
    best = [overview.best.trial] if overview.best else []
    return drawing(site.pages.curves(study_id, N_CURVES, best), best)


def _older_failed(site: Site, overview: Overview, space: Space, newest: list[TrialRecord]) -> list[TrialRecord]:
    """Return failed trials that are not among the newest and may be tried again; none where there are no others."""
    shown = {trial.number for trial in newest}
    if overview.row.failed <= sum(
        trial.state == State.FAIL and CONTINUED_BY not in trial.attributes for trial in newest
    ):
        return []
    found = [trial_of(one, space) for one in site.pages.failed(overview.row.study_id, N_FAILED + N_NEWEST)]
    return [trial for trial in found if trial.number not in shown][:N_FAILED]


def _best(site: Site, overview: Overview, space: Space) -> list[TrialRecord]:
    """Return the best trials, the best first, of repeated settings one each; with several metrics, the front."""
    row, front = overview.row, overview.front
    if front is None and row.n_repeats == 1:
        return [trial_of(one, space) for one in site.pages.top(row.study_id, N_BEST, row.direction)]
    settings = [] if front is not None else read_settings(site.storage, row.study_id, row.direction)[:N_BEST]
    known = {one.trial: one for one in settings}
    numbers = list(known) if front is None else [point.trial for point in front.points[:N_FRONT]]
    found = [trial_of(one, space) for one in site.pages.numbered(row.study_id, numbers)]
    return [replace(trial, repeated=known.get(trial.number)) for trial in found]


def _parameters(space: Space, trials: list[TrialRecord]) -> list[str]:
    used = {name: None for trial in trials for name in trial.params}
    return [name for name in space.parameters if name in used] or list(used)


def study_answer(request: Request) -> Response:
    """Return what won and how sure that is, as a part of a page: reading a large study takes seconds."""
    site = site_of(request)
    found, overview = site.study(request.path_params["name"])

    def draw() -> str:
        record = read(site.storage, names.exact(found.study_name))
        return site.text("answer.html", section=answer(record, record.verdicts))

    return HTMLResponse(site.lately.get(("answer", found._study_id), draw, _version(site, overview)))


def study_report(request: Request) -> Response:
    """Return the study's whole report."""
    site = site_of(request)
    found, overview = site.study(request.path_params["name"])

    def draw() -> str:
        return render(read(site.storage, names.exact(found.study_name)), "html")

    page = site.lately.get(("report", found._study_id), draw, _version(site, overview))
    return HTMLResponse(page, headers={"content-security-policy": REPORT_POLICY})


def _version(site: Site, overview: Overview) -> tuple[Any, ...]:
    """Return what differs once there is something new to say of a study, or of its confirmation."""
    confirmation = names.confirmation(overview.name)
    others = [site.study(confirmation)[1]] if confirmation in started(site.storage) else []
    return tuple((one.done, one.row.complete, one.row.failed, one.best) for one in (overview, *others))


def studies_events(request: Request) -> Response:
    """Send the list each time it changes."""
    return stream(request, "studies", lambda: live_studies(site_of(request)))


def study_events(request: Request) -> Response:
    """Send a study's page each time it changes."""
    name = request.path_params["name"]
    return stream(request, ("study", name), lambda: live_study(site_of(request), name))
