"""`/metrics` in Prometheus' text format, and `/healthz`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

from studies.errors import StudiesError
from studies.record.overview import Overview, StudyState, read_overviews
from studies.web.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from studies.storage.ledger import Usage

# Of the living workers of a study on a machine: name, meaning, field of `Usage`, and what it is multiplied with.
USAGES = (
    ("studies_cpu_cores", "Cores that workers keep busy.", "cpu_percent", 0.01),
    ("studies_memory_bytes", "Memory that workers use.", "memory_mib", 2**20),
    ("studies_gpu_busy_ratio", "How busy the workers' GPUs are, on average: 0 to 1.", "gpu_percent", 0.01),
    ("studies_gpu_memory_bytes", "Memory in use on the workers' GPUs, on average.", "gpu_memory_mib", 2**20),
)
TYPE = "text/plain; version=0.0.4; charset=utf-8"


def healthz(request: Request) -> Response:
    """Say whether the storage answers, and nothing else: anybody may ask."""
    try:
        site_of(request).pages.ping()
    except StudiesError:
        return PlainTextResponse("the storage does not answer\n", 503)
    return PlainTextResponse("ok\n")


def metrics(request: Request) -> Response:
    """Return how every study stands; counters are named `_total`, everything else is a gauge."""
    site = site_of(request)
    text = as_text(read_overviews(site.storage, site.pages), site.pages.totals(), site.pages.usages())
    return Response(text, media_type=TYPE)


def as_text(
    found: Iterable[Overview], totals: Mapping[int, tuple[int, float]], usages: Mapping[tuple[int, str], Usage]
) -> str:
    """Return the metrics. totals: epochs and seconds by study id. usages: by study id and machine."""
    studies = list(found)
    epochs = {one.name: totals.get(one.row.study_id, (0, 0.0)) for one in studies}
    families = [
        _family("studies_study_state", "gauge", "What the study is doing: 1 for its state.", [
            ({"study": one.name, "state": state}, int(one.state is state)) for one in studies for state in StudyState]),
        _family("studies_trials", "gauge", "Trials by state; a trial that a continuation replaced does not count.", [
            ({"study": one.name, "state": state}, n) for one in studies for state, n in one.counts.items()]),
        _family("studies_trials_wanted", "gauge", "How many trials the study has in the end.", [
            ({"study": one.name}, one.total) for one in studies if one.total is not None]),
        _family("studies_workers", "gauge", "Workers that are alive.", [
            ({"study": one.name}, one.row.n_workers) for one in studies]),
        _family("studies_best_value", "gauge", "The best trial's value of the metric, with repeats their mean.", [
            ({"study": one.name, "metric": one.row.metric}, one.best.value) for one in studies if one.best]),
        _family("studies_front_trials", "gauge", "Trials on the Pareto front of a study with several metrics.", [
            ({"study": one.name}, len(one.front.points)) for one in studies if one.front]),
        _family("studies_epochs_total", "counter", "Epochs that trials have reported.", [
            ({"study": one.name}, epochs[one.name][0]) for one in studies]),
        _family("studies_device_seconds_total", "counter", "Seconds that trials have held a device.", [
            ({"study": one.name}, round(epochs[one.name][1], 3)) for one in studies]),
    ]  # fmt: skip
    names = {one.row.study_id: one.name for one in studies}
    for name, meaning, key, scale in USAGES:
        used = [
            ({"study": names[study_id], "host": host}, getattr(usage, key) * scale)
            for (study_id, host), usage in usages.items() if study_id in names and getattr(usage, key) is not None
        ]  # fmt: skip
        families.append(_family(name, "gauge", meaning, used))
    return "".join(families)


def _family(name: str, kind: str, meaning: str, samples: list[tuple[dict[str, str], float]]) -> str:
    head = f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
    return head + "".join(f"{name}{{{_labels(labels)}}} {value!r}\n" for labels, value in samples)


def _labels(labels: dict[str, str]) -> str:
    return ",".join(f'{key}="{_escaped(str(value))}"' for key, value in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
