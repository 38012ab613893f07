"""The report's page, from studies made by hand."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects
import pytest

from studies import outcomes
from studies.errors import WrongInput
from studies.record.study import StudyRecord, TrialRecord
from studies.report import findings
from studies.report.every_trial import MAX_ROWS
from studies.report.figures import curves
from studies.report.page import Page, render
from studies.report.sections import document
from studies.report.shades import drawable
from studies.search.race import Contender, stand
from studies.words import duration, exact, number

from ..reports import HOSTILE, make_report, make_study, make_trial

MEGABYTE = 1024 * 1024


def all_failed() -> StudyRecord:
    failed = {"state": "fail", "reason": "exception", "attributes": {"detail": "RuntimeError: no", "history": []}}
    return make_report([make_trial(number, [], **failed) for number in range(5)])


def all_pruned() -> StudyRecord:
    return make_report([make_trial(number, [0.2, 0.3], state="pruned") for number in range(5)])


def waiting() -> StudyRecord:
    unknown: dict[str, Any] = {"params": {}, "started": None, "ended": None}
    return make_report([replace(make_trial(0, [], state="waiting", **unknown), attributes={"start_with": 0})])


STUDIES = {
    "empty": make_report([]),
    "all failed": all_failed(),
    "all pruned": all_pruned(),
    "waiting": waiting(),
    "single": make_report([make_trial(0, [0.3, 0.5, 0.4])]),
    "single without epochs": make_report([make_trial(0, [], value=0.4)], metric="value", max_epochs=1),
    "usual": make_study(40),
}


@pytest.fixture(params=STUDIES)
def report(request: pytest.FixtureRequest) -> StudyRecord:
    return STUDIES[request.param]


def words_of(page: str) -> list[str]:
    """Return what a reader of the HTML page sees, outside the figures."""
    body = page[page.index("<h1>") : page.index("</main>")]
    body = re.sub(r"<nav>.*?</nav>|<h3>.*?</h3>", " ", body, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", body)).split()


def words_of_markdown(page: str) -> list[str]:
    lines = [line for line in page.splitlines() if not re.fullmatch(r"[| -]+", line)]
    text = html.unescape(re.sub(r"\\(.)", "\x00\\1", "\n".join(lines)))
    text = re.sub(r"(?<!\x00)[|`]|^#+", " ", text, flags=re.MULTILINE)
    return text.replace("\x00", "").split()


def test_html_and_markdown_say_the_same(report: StudyRecord) -> None:
    assert words_of(render(report, "html")) == words_of_markdown(render(report, "md"))


def test_a_page_is_saved_as_its_file_ends(tmp_path: Path) -> None:
    page = Page(document(STUDIES["single"]))
    for name, kind in (("a.html", "html"), ("a.HTM", "html"), ("a", "html"), ("a.md", "md"), ("a.markdown", "md")):
        assert page.save(tmp_path / name).read_text(encoding="utf-8") == render(STUDIES["single"], kind)
    with pytest.raises(WrongInput, match=r"a\.pdf', and \.pdf is none of html, md; choose another file\.$"):
        page.save(tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


def test_the_page_has_everything_inside(report: StudyRecord) -> None:
    page = render(report, "html")
    assert len(page.encode()) < 6 * MEGABYTE
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", page[: page.index("<main>")])
    assert page.count('id="figures"') == 1
    assert "default-src 'none'" in page


def test_every_figure_is_one_that_plotly_knows(report: StudyRecord) -> None:
    for section in document(report).sections:
        for figure in section.figures:
            plotly.graph_objects.Figure(data=figure.data, layout=figure.layout)


def test_without_a_completed_trial_it_says_so() -> None:
    for name in ("empty", "all failed", "all pruned", "waiting"):
        assert "no trial is complete" in render(STUDIES[name], "md")
    assert "5 pruned" in render(STUDIES["all pruned"], "md")
    assert "RuntimeError: no" in render(STUDIES["all failed"], "md")


def test_numbers_in_the_page_are_those_of_the_report() -> None:
    report = STUDIES["usual"]
    best = report.best
    assert best is not None
    words = words_of(render(report, "html"))
    assert exact(best.value) in words
    for value in best.params.values():
        assert " ".join(exact(value).split()) in " ".join(words)
    rows = rows_of(report, "All trials")
    assert len(rows) == len(report.trials)
    shown = {row[0]: row for row in rows}
    for trial in report.trials:
        row = shown[str(trial.number)]
        assert row[1].startswith(trial.state)
        assert row[2] == (number(trial.value) if trial.state == "complete" else "-")
        assert row[4:6] == [str(len(trial.curve)), duration(trial.seconds)]
    outcomes = {(row[0], row[1]): int(row[2]) for row in rows_of(report, "Outcomes and hours")}
    assert outcomes[("complete", "-")] == sum(trial.state == "complete" for trial in report.trials)
    assert sum(outcomes.values()) == len(report.trials)


def rows_of(report: StudyRecord, title: str) -> list[list[str]]:
    section = next(section for section in document(report).sections if section.title == title)
    return [list(row) for row in section.tables[0].rows]


def test_the_curves_that_are_drawn_are_those_of_the_report() -> None:
    report = STUDIES["usual"]
    section = next(section for section in document(report).sections if section.title == "Learning curves")
    drawn = {trace["name"]: trace for trace in section.figures[0].data}
    pruned = [trial for trial in report.trials if trial.state == "pruned"]
    trace = drawn[f"pruned ({len(pruned)})"]
    points = [point for point in zip(trace["customdata"], trace["x"], trace["y"], strict=True) if point[0] is not None]
    expected = [(trial.number, epoch, value) for trial in pruned for epoch, value in trial.curve.items()]
    assert points == [(n, epoch, float(f"{value:.6g}")) for n, epoch, value in expected]


@pytest.mark.parametrize(("direction", "x", "y"), [("maximize", [0, 3, 4], [0.5, 0.7, 0.7]),
                                                  ("minimize", [0, 1, 4], [0.5, 0.4, 0.4])])  # fmt: skip
def test_the_line_of_the_best_so_far_has_a_point_where_it_changes(direction: str, x: list[int], y: list[float]) -> None:
    trials = [make_trial(n, [value]) for n, value in enumerate([0.5, 0.4, 0.5, 0.7, 0.6])]
    [figure] = document(make_report(trials, direction=direction)).sections[0].figures
    line = next(trace for trace in figure.data if trace["name"] == "best so far")
    assert (line["x"], line["y"]) == (x, y)


def test_the_answer_says_that_it_is_one_seed_unless_it_was_repeated() -> None:
    once = make_report([make_trial(0, [0.5]), make_trial(1, [0.6], params={"learning_rate": 1e-2})])
    assert "This is one seed" in render(once, "md")
    again = make_report([make_trial(n, [value]) for n, value in enumerate([0.5, 0.6, 0.7])])
    assert "under 3 seeds give a mean of 0.6000 with a standard deviation of 0.1000" in render(again, "md")


def test_given_against_found() -> None:
    theirs = make_trial(0, [0.5], attributes={"start_with": 0})
    ours = make_trial(1, [0.6], params={"learning_rate": 1e-2})
    assert "(0.6000, trial 1) is 0.1000 better than the best" in render(make_report([theirs, ours]), "md")
    lower = render(make_report([theirs, ours], direction="minimize"), "md")
    assert "is 0.1000 worse than the best that `start_with` gives" in lower
    assert "Given against found" not in render(make_report([ours]), "md")
    assert "No trial of the search was completed here yet" in render(make_report([theirs]), "md")


def test_importances_find_the_parameter_that_matters() -> None:
    found = shares_of(STUDIES["usual"])
    assert next(iter(found)) == "learning_rate"
    assert sum(found.values()) == pytest.approx(1)
    assert shares_of(make_study(8)) == {}


def shares_of(record: StudyRecord) -> dict[str, float]:
    return findings.importances(record, findings.compared(record))


def mostly_pruned(first: int = 1) -> StudyRecord:
    """Return 16 trials of which 13 were pruned at epoch 1, 2 or 3, and whose dropout alone decides."""
    trials = []
    for n in range(16):
        dropout, state = n / 16, "complete" if n < 3 else "pruned"
        curve = [0.9 - dropout / 2 - 0.2 * 0.5**epoch for epoch in range(9 if n < 3 else 1 + n % 3)]
        trial = make_trial(n, curve, state=state, params={"dropout": dropout, "optimizer": ["adam", "sgd"][n // 2 % 2]})
        trials.append(replace(trial, curve=dict(enumerate(curve, start=first))))
    return make_report(trials, max_epochs=9)


def test_pruned_trials_count_with_what_they_reported_at_a_rung() -> None:
    record = mostly_pruned()
    compared = findings.compared(record)
    assert compared.rung == 2
    reached = [trial for trial in record.trials if max(trial.curve) >= 2]
    assert {trial.number: trial.value for trial in compared.trials} == {t.number: t.curve[2] for t in reached}
    shares = findings.importances(record, compared)
    assert next(iter(shares)) == "dropout"
    section = next(section for section in document(record).sections if section.title == "Parameters")
    assert "Most trials were pruned" in section.notes[0]
    assert "best value up to epoch 2" in section.notes[0]
    figure = next(figure for figure in section.figures if figure.title.startswith("dropout"))
    assert sum(len(trace["x"]) for trace in figure.data if trace["mode"] == "markers") == len(reached)
    assert figure.layout["yaxis"]["title"]["text"] == "balanced accuracy by epoch 2"


def test_completed_trials_count_with_their_final_value() -> None:
    record = STUDIES["usual"]
    assert findings.compared(record).trials == record.ranked
    assert "Most trials were pruned" not in render(record, "md")


def test_a_study_of_pruned_trials_alone_shows_its_parameters() -> None:
    record = mostly_pruned()
    record = replace(record, trials=record.trials[3:])
    assert "## Parameters" in render(record, "md")


def test_a_plain_function_counts_its_own_steps() -> None:
    attributes = {"seed": 1, "seconds": 9.0}
    trials = [replace(make_trial(n, [0.1, 0.2, 0.3 + n]), attributes=attributes, epoch=None) for n in range(2)]
    trials = [replace(trial, curve={step - 1: value for step, value in trial.curve.items()}) for trial in trials]
    report = make_report(trials, max_epochs=1)
    page = render(report, "md")
    assert "| most steps reported | 3 |" in page
    assert "The best value was reached at step 2 of 0 to 2." in page
    assert "max_epochs" not in page
    drawn = curves(report)
    assert drawn.title == "Every trial, step by step"
    assert all("step %{x}" in trace["hovertemplate"] for trace in drawn.data)


def test_a_small_study_makes_a_small_page() -> None:
    assert len(render(make_study(10), "html")) < 1_500_000


def test_heat_maps_are_bars_in_the_page() -> None:
    figure = next(f for s in document(STUDIES["usual"]).sections for f in s.figures if f.data[0]["type"] == "heatmap")
    drawn = drawable(figure)
    [bars] = drawn["data"]
    z = figure.data[0]["z"]
    cells = [
        (round(base + 0.5), x, c[2]) for base, x, c in zip(bars["base"], bars["x"], bars["customdata"], strict=True)
    ]
    assert cells == [(row, column, value) for row, values in enumerate(z) for column, value in enumerate(values)]
    colors = {value: color for (_, _, value), color in zip(cells, bars["marker"]["color"], strict=True)}
    assert colors[0.0] == "#f7f9fc"
    assert plotly.graph_objects.Figure(drawn)


@pytest.mark.parametrize(("linear", "said"), [(0.9, "which is better than every trial"), (0.1, "scores 0.1000.")])
def test_a_linear_model_is_the_second_baseline(linear: float, said: str) -> None:
    record = make_report([make_trial(0, [0.5, 0.6])])
    record = replace(
        record, data=record.data | {"baselines": {"balanced_accuracy": linear}, "baseline_model": "a linear model"}
    )
    assert f"A linear model scores {linear:.4f}" in render(record, "md")
    assert said in render(record, "md")


def test_log_ranges_have_log_axes_and_choices_are_jittered() -> None:
    section = next(section for section in document(STUDIES["usual"]).sections if section.title == "Parameters")
    figures = {figure.title.split(":")[0]: figure for figure in section.figures}
    assert figures["learning_rate"].layout["xaxis"]["type"] == "log"
    assert "type" not in figures["dropout"].layout["xaxis"]
    assert figures["hidden_layers"].layout["xaxis"]["ticktext"] == ["[128]", "[256, 128]"]
    places = figures["batch_size"].data[0]["x"]
    assert {round(place) for place in places} == {0, 1, 2}
    assert len(set(places)) > 10


def test_hours_used_and_saved() -> None:
    complete = make_trial(0, [0.5] * 6, attributes={"seconds": 3600.0})
    pruned = make_trial(1, [0.5] * 2, state="pruned", attributes={"seconds": 1200.0})
    failed = make_trial(2, [], state="fail", reason="nan", attributes={"seconds": 600.0, "history": []})
    hours = findings.hours(make_report([complete, pruned, failed]))
    assert hours.used == pytest.approx(1.5)
    assert hours.failed == pytest.approx(1 / 6)
    assert hours.saved == pytest.approx(4 * 600 / 3600)


def test_the_table_of_trials_says_why_one_failed() -> None:
    long = make_trial(6, [], state="fail", reason="nan", attributes={"detail": "it\nis " + "long " * 99})
    report = make_report([make_trial(5, [0.3]), *all_failed().trials, long])
    table = next(section for section in document(report).sections if section.title == "All trials").tables[0]
    column = table.header.index("what it said")
    said = {row[0]: (row[1], row[column]) for row in table.rows}
    assert said["5"] == ("complete", "-")
    assert said["0"] == ("failed (exception)", "RuntimeError: no")
    assert said["6"][1].startswith("it is long long")
    assert said["6"][1].endswith("…")
    assert "fail |" not in render(report, "md")
    assert "what it said" not in render(make_report([make_trial(0, [0.3])]), "md")


def test_a_paused_trial_that_was_resumed_counts_once() -> None:
    paused = make_trial(0, [0.5], state="pruned", continued_by=2, attributes={"seconds": 600.0})
    other = make_trial(1, [0.4], state="pruned", attributes={"seconds": 600.0})
    resumed = make_trial(2, [0.5] * 6, continues=0, attributes={"seconds": 3000.0})
    report = make_report([paused, other, resumed])
    assert report.counts == {"complete": 1, "pruned": 1, "failed": 0}
    assert findings.hours(report).saved == pytest.approx(5 * 600 / 3600)
    assert findings.outcomes(report) == {("pruned", "resumed"): 1, ("pruned", ""): 1, ("complete", ""): 1}
    assert "pruned (resumed as 2)" in render(report, "md")


def test_the_epoch_sweep() -> None:
    report = make_report([make_trial(0, [0.5, 0.7, 0.6]), make_trial(1, [0.6, 0.5, 0.4]), make_trial(2, [0.8])])
    points = findings.sweep(report)
    assert [(point.epoch, point.n, point.best) for point in points] == [(1, 3, 0.8), (2, 2, 0.8), (3, 2, 0.8)]
    assert [point.typical for point in points] == [pytest.approx(value) for value in (0.55, 0.6, 0.5)]
    assert "is at its best in epoch 2 (0.6000) and ends at 0.5000: overfitting begins there" in render(report, "md")


def test_hostile_names_stay_text() -> None:
    declared = {
        HOSTILE: {"choices": [HOSTILE, "<b>bold</b>", "=1+1"], "default": "=1+1"},
        "x": {"low": 0.0, "high": 1.0, "default": 0.0},
    }
    trials = [hostile_trial(n, [HOSTILE, "<b>bold</b>", "=1+1"][n % 3]) for n in range(12)]
    report = make_report(trials, declared, metric="balanced_accuracy", description=HOSTILE)
    report = replace(report, data={"name": HOSTILE, "sha256": HOSTILE, "summary": {HOSTILE: 1}})
    page = render(report, "html")
    markup = re.sub(r"<script>.*?</script>", "", page[: page.index("<main>")], flags=re.DOTALL)
    assert "<img" not in markup + page[page.index("<main>") : page.index("</main>")]
    figures = page[page.index('id="figures">') + len('id="figures">') :]
    json.loads(figures[: figures.index("</script>")])
    assert "alert(" in figures
    markdown = render(report, "md")
    assert "<img" not in markdown
    assert "<script" not in markdown
    assert all(line.endswith("|") for line in markdown.splitlines() if line.startswith("|"))
    assert words_of(page) == words_of_markdown(markdown)
    printed = outcomes.best(report)
    assert not set("\x1b\r\x07\u202e") & set(page + markdown + printed)
    assert len(printed.splitlines()) == 1 + len(declared)  # a name with a line break is one cell of one row


def hostile_trial(n: int, category: str) -> TrialRecord:
    attributes = {"detail": HOSTILE, "start_with": n} if n < 2 else {}
    params = {HOSTILE: category, "x": n / 12}
    return make_trial(n, [0.3, 0.3 + n / 100], params=params, reason=HOSTILE, attributes=attributes)


def test_five_thousand_trials() -> None:
    report = make_study(5000, max_epochs=20)
    page = render(report, "html")
    assert len(page.encode()) < 1_500_000
    assert len(rows_of(report, "All trials")) == MAX_ROWS
    assert f"The first {MAX_ROWS} of 5,000 trials" in render(report, "md")


def test_a_few_catastrophes_do_not_flatten_the_rest() -> None:
    trials = [make_trial(n, [1.0 + n / 100] * 3) for n in range(30)] + [make_trial(30, [1e9] * 3)]
    section = document(make_report(trials, direction="minimize")).sections[1]
    low, high = section.figures[0].layout["yaxis"]["range"]
    assert low < 1.0
    assert 1.29 < high < 2


def against(theirs: float, *ours: float) -> StudyRecord:
    given = make_trial(0, [theirs], attributes={"start_with": 0})
    return make_report([given, *(make_trial(n, [v], params={"dropout": n / 10}) for n, v in enumerate(ours, 1))])


def test_a_small_difference_is_a_draw() -> None:
    assert "call it a draw" not in render(against(0.6, *(0.6 + n / 1000 for n in range(1, 6))), "md")
    assert "call it a draw" in render(against(0.6, *(0.6 + n / 1000 for n in range(1, 5))), "md")


@pytest.mark.parametrize("theirs", [0.1, 0.5, 0.8])
def test_what_failed_to_learn_makes_no_draw(theirs: float) -> None:
    page = render(against(theirs, 0.98, 0.979, 0.5, 0.3, 0.1), "md")
    assert "call it a draw" not in page
    assert "`studies confirm made-up` says how sure it is" in page
    assert "between 0.1000 and" not in page


def test_repeats_decide_what_is_luck() -> None:
    again = [make_trial(n, [value]) for n, value in enumerate([0.98, 0.96, 0.97], start=1)]
    theirs = make_trial(0, [0.955], params={"dropout": 0.5}, attributes={"start_with": 0})
    assert "call it a draw" in render(make_report([theirs, *again]), "md")
    worse = replace(theirs, value=0.94)
    assert "call it a draw" not in render(make_report([worse, *again]), "md")


@pytest.mark.parametrize(("repeats", "shown"), [([0.9, 0.91, 0.9, 0.89, 0.9], "what the search found is better"),
                                                ([0.9, 0.91, 0.9, 0.89, 0.89], "what the search found is better"),
                                                ([0.94, 0.92, 0.95, 0.93, 0.9], "no difference")])  # fmt: skip
def test_the_report_says_what_the_confirmation_said(repeats: list[float], shown: str) -> None:
    record = against(0.945 if repeats[-1] == 0.89 else 0.94, 0.945, 0.942, 0.941)
    field = [
        Contender(0, given=True, values=dict(enumerate(repeats))),
        Contender(1, values=dict(enumerate([0.94, 0.93, 0.94, 0.95, 0.94]))),
    ]
    record = replace(record, confirmation=stand(field, 1, 5))
    section = next(section for section in document(record).sections if section.title == "Given against found")
    assert shown in section.text[0]
    assert "draw" not in section.text[0]


def test_the_value_of_a_pruned_trial_is_none_of_its_batch_size() -> None:
    sizes = [{"batch_size": 64}, {"batch_size": 128}]
    trials = [make_trial(n, [0.5], params=params) for n, params in enumerate(sizes)]
    trials.append(make_trial(2, [0.1], params=sizes[0], state="pruned", value=0.1))  # Optuna's: its last report
    assert [(one.n, one.value) for one in findings.speeds(make_report(trials))] == [(2, 0.5), (1, 0.5), (3, 0.5)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (0.0, "0.0000"), (0.93121, "0.9312"), (2.5e-7, "2.5e-07"), (1234.5, "1,234"), (-3e7, "-3e+07")],
)
def test_number(value: float | None, expected: str) -> None:
    assert number(value) == expected


def test_a_plain_function_may_report_what_is_not_finite() -> None:
    odd = [make_trial(n, [0.5, 0.6], state="pruned") for n in range(2)]
    curves = [{1: float("nan"), 2: 0.5, 9: float("inf")}, {0: float("-inf"), 3: float("nan")}]
    trials = [replace(trial, curve=curve) for trial, curve in zip(odd, curves, strict=True)]
    page = render(make_report([*trials, make_trial(2, [0.4, 0.5])]), "html")
    assert "Learning curves" in page


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_nobodys_best(direction: str, value: float) -> None:
    endless = [make_trial(n, [value]) for n in range(12)]
    assert "for no completed trial has a finite value (12 complete" in render(
        make_report(endless, direction=direction), "md"
    )
    record = make_report([*endless, make_trial(12, [value, 0.5, value], value=0.5)], direction=direction)
    assert "The best balanced_accuracy is 0.5000 (trial 12" in render(record, "md")
    assert rows_of(record, "All trials")
