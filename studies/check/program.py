"""Whether a study of a program is sound: its command, its parameters, and what it reports in one short run.

The program is started as a trial would start it, in the same directory, with the defaults; whatever it writes there, it
writes. A program is not looked into: what the other checks see of a training cannot be seen of it.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.check.asked import default_of
from studies.check.findings import Fact, Finding, Item, NotChecked, Result
from studies.check.written import changed, files_below
from studies.logs.places import launch_name
from studies.run.last_words import last_words
from studies.run.objective import code_of, load_with_space
from studies.run.process import Ended, described
from studies.run.program import ProgramObjective, ProgramTraining
from studies.run.reports import Epoch, Lines, PatternTooSlow
from studies.run.source import SCRIPTS
from studies.spec.program import PARAMS
from studies.templates.script.source import report_in
from studies.words import near, number, plural

if TYPE_CHECKING:
    from studies.settings import Settings
    from studies.spec import StudySpec
    from studies.spec.space import Space

SEED = 0
READS_PARAMS = re.compile(r"STUDIES_PARAMS|\bprogram(\.params| import| as)\b")
READS_SEED = re.compile(r"STUDIES_SEED|\bprogram(\.seed| import| as)\b")
EVERY_EPOCH = ", pass {max_epochs} to the program, or set max_epochs: 1"
AT_ITS_END = "; or set max_epochs: 1 and give the program a number of epochs in place of {max_epochs}"
USAGE = re.compile(r"unrecognized arguments|no such option|unknown option|usage:", re.IGNORECASE)
UNSEEN = "evaluation, labels, split, weights and dropout"


def check_program(
    spec: StudySpec, settings: Settings, progress: Callable[[str, float], None], seconds: float
) -> Result:
    """Check a study of a program, which runs for at most `seconds`.

    Raises SpecRefused and SpaceRefused as launching it would.
    """
    started = time.monotonic()
    result = Result(spec.name)
    objective, space = load_with_space(spec)
    assert isinstance(objective, ProgramObjective)
    logs = settings.logs_of(spec.name, f"check-{launch_name()}")
    result.log = str(logs / "trial-0.log")
    checks = _Checks(objective.logging_to(logs), space, settings.home, started + seconds)
    parts: list[tuple[str, Callable[[], Iterator[Item]]]] = [
        ("the command", checks.command),
        ("the parameters", checks.parameters),
        ("what it reports", checks.reports),
        ("the same seed again", checks.repeats),
    ]
    for index, (title, check) in enumerate(parts):
        progress(f"checking {title}", index / len(parts))
        for item in check():
            result.add(item)
        result.checked.append(title)
    result.add(NotChecked(UNSEEN, "a program is not looked into"))
    result.seconds = round(time.monotonic() - started, 1)
    return result


class _Checks:
    """The checks of one program. home: STUDIES_HOME. end: when all should be over, by time.monotonic."""

    def __init__(self, objective: ProgramObjective, space: Space, home: Path, end: float) -> None:
        self.objective, self.spec, self.space, self.home, self.end = objective, objective.spec, space, home, end
        self.program = objective.program
        self.params: dict[str, Any] = {}
        for name, parameter in space.parameters.items():
            if parameter.exists(self.params):
                self.params[name] = default_of(parameter)
        self.first: Epoch | None = None
        self.took_s = 0.0
        self.directory = Path(self.program.directory or ".").absolute()
        self.source = _source([self.directory / name for name in code_of(self.program)], self.directory)
        self.written: list[str] = []

    def command(self) -> Iterator[Item]:
        """Look for the program, and for what trials that run at the same time would share."""
        name = self.program.words[0]
        directory = Path(self.program.directory or ".")
        if "{" not in name and shutil.which(name) is None and not os.access(directory / name, os.X_OK):
            yield Finding(
                "program-not-found",
                "error",
                what=f"there is no program {name!r} to run",
                why="every trial would fail",
                fix="correct objective.command, install it, or start `studies` where it is on the PATH",
            )
        file = self.program.reports.file
        if file is not None and not re.search(r"\{(scratch|checkpoints|trial)\}", self.program.directory + file):
            yield Finding(
                "shared-report-file",
                "warning",
                what=f"every trial writes its reports to {file}",
                why="two workers at a time would read each other's reports",
                fix="have {scratch} or {trial} in the path of the file, and in the command",
            )

    def parameters(self) -> Iterator[Item]:
        """Look for parameters that do not reach the program, and whether the seed does."""
        placed = set().union(*self.program.placeholders().values())
        reads_file = READS_PARAMS.search(self.source)
        for name in self.space.parameters:
            if name in placed or PARAMS in placed or self.program.config is not None:
                continue
            if not self.source:
                yield NotChecked(f"whether {name} reaches the program", "its code is not in the working directory")
            elif not reads_file:
                yield Finding(
                    "ghost-parameter",
                    "error",
                    what=f"{name} is in no placeholder of the command, and the program does not read STUDIES_PARAMS",
                    why="the study would tune a parameter that changes nothing",
                    fix=f"put {{{name}}} or {{params}} into objective.command, read it from program.params, or remove "
                    "it",
                )
            elif name not in self.source:
                yield NotChecked(f"whether {name} is used", "the program may read it from STUDIES_PARAMS")
        place = "objective.config.set" if self.program.config else "objective.command"
        if self.source and "seed" not in placed and not READS_SEED.search(self.source):
            yield Finding(
                "seed-not-used",
                "warning",
                what="{seed} is not in the command, and the program does not read STUDIES_SEED",
                why="`studies confirm` repeats the best under fresh seeds, which would mean nothing",
                fix=f"put {{seed}} into {place}, and draw everything random from it",
            )

    def reports(self) -> Iterator[Item]:
        """Run it until it has reported once, and see whether it reports again."""
        before = files_below(self.directory, self.home)
        started = time.monotonic()
        training = self._training()
        try:
            said = training.said(self.end - started)
            self.took_s = time.monotonic() - started
            if isinstance(said, Ended):
                self.written = changed(before, files_below(self.directory, self.home))
                yield self._without_report(training, said)
            elif said is None:
                waited = f"no report within {self.took_s:.0f} s; --timeout MINUTES gives it longer"
                yield NotChecked("what it reports", waited)
            elif isinstance(said, PatternTooSlow):
                yield _too_slow(said)
            else:
                self.first = said
                yield from self._of_first(said)
                yield from self._of_second(training)
                yield from self._of_more(training)
        finally:
            training.close()
        self.written = changed(before, files_below(self.directory, self.home))

    def repeats(self) -> Iterator[Item]:
        """Run it again with the same parameters and seed, up to its second report if it has written something."""
        if self.first is None:
            yield NotChecked("the same seed again", "its first run gave no report")
            return
        files = files_below(self.directory, self.home)
        training = self._training(number=1)
        try:
            again = training.said(max(1.0, self.end - time.monotonic()))
            if self.written and isinstance(again, Epoch) and self.spec.max_epochs > 1:
                training.answer()
                training.said(max(1.0, (self.end - time.monotonic()) / 2))
        finally:
            training.close()
        shared = {*self.written} & {*changed(files, files_below(self.directory, self.home))}
        if shared:
            yield _written_by_all(sorted(shared))
        if isinstance(again, Ended):
            left = f", such as {self.written[0]}" if self.written else ""
            yield Finding(
                "second-run-fails",
                "error",
                what=f"started again, it {described(again)} without a report",
                why="only the first trial would have a value",
                fix=f"have it read nothing that another run left{left}: what is a trial's own goes below "
                "{checkpoints}",
            )
        elif not isinstance(again, Epoch):
            yield NotChecked("the same seed again", "its second run gave no report in time")
        elif metric := next((m for m in self.spec.metrics if again.metrics[m] != self.first.metrics[m]), None):
            before, now = self.first.metrics[metric], again.metrics[metric]
            yield Finding(
                "not-repeatable",
                "warning",
                what=f"the same parameters and seed gave {metric} {before:.6g}, and then {now:.6g}",
                why="a trial that is continued or confirmed does not give the value that it had",
                fix="have it read nothing that another run wrote" if shared else "seed every generator with {seed}",
            )

    def _is_told_epochs(self) -> bool:
        return any("max_epochs" in names for names in self.program.placeholders().values())

    def _training(self, number: int = 0) -> ProgramTraining:
        return self.objective.start(self.params, None, seed=SEED, device="cpu", number=number)

    def _without_report(self, training: ProgramTraining, ended: Ended) -> Finding:
        if ended.code != 0:
            flag = USAGE.search(ended.tail)
            fix = "correct the options in objective.command" if flag else "run the command by hand: it shows the same"
            return Finding(
                "program-fails",
                "error",
                what=f"with its defaults it {described(ended)}: {last_words(ended)}",
                why="trials would fail like this",
                fix=fix,
            )
        names = training.names
        metric = next((name for name in self.spec.metrics if name not in names), self.spec.metric)
        key = "metrics" if self.spec.has_several else "metric"
        if names:
            return Finding(
                "metric-not-reported",
                "error",
                what=f"it reports {', '.join(sorted(names))}, and never {metric!r}{near(metric, names)}",
                why="every trial would fail: a trial's value is the study's metric",
                fix=f"correct `{key}` in the study file, or what the program reports",
            )
        words = last_words(ended)
        return Finding(
            "nothing-reported",
            "error",
            what=f"it exited with 0 and {training.silence}" + (f"; it printed last: {words}" if words else ""),
            why="every trial would fail: there is no value",
            fix=self._how_to_report(ended),
        )

    def _how_to_report(self, ended: Ended) -> str:
        """Return what to write in the study file for what it has printed, or for a table that it has written."""
        lines = [*Lines().add(f"{ended.tail}\n".encode())]
        if (seen := report_in(lines)) is not None:
            given = f"`metric: {seen.metric}`, `direction: {seen.direction}`"
            return f"for what it prints, write {given} and, below objective, `reports: {{pattern: '{seen.pattern}'}}`"
        if table := next((path for path in self.written if path.endswith((".csv", ".jsonl"))), None):
            kind, name = Path(table).suffix[1:], Path(table).name
            return f"have it write {table} below {{scratch}}, and write `reports: {{{kind}: '{{scratch}}/{name}'}}`"
        correct = "correct objective.reports.pattern, or " if self.program.reports.pattern else ""
        return f"{correct}report with studies.program, STUDIES_REPORTS or objective.reports (docs/guides/programs.md)"

    def _of_first(self, first: Epoch) -> Iterator[Item]:
        shown = ", ".join(f"{name} {number(value)}" for name, value in first.metrics.items())
        yield Fact("first report", f"after {self.took_s:.1f} s: {shown}")
        if endless := next((name for name in self.spec.metrics if not math.isfinite(first.metrics[name])), None):
            yield Finding(
                "metric-not-a-number",
                "error",
                what=f"{endless} is {first.metrics[endless]} in the first epoch, with the defaults",
                why="a trial with such a value fails",
                fix="look for it with the defaults: a division by zero, an empty validation set, or a rate that "
                "diverges",
            )

    def _of_second(self, training: ProgramTraining) -> Iterator[Item]:
        """See whether there is a second report, which pruning needs; half of the time that is left is for it."""
        if self.spec.max_epochs == 1:
            return
        training.answer()
        began = time.monotonic()
        said = training.said(max(1.0, (self.end - began) / 2))
        if isinstance(said, Epoch):
            yield from self._of_all(training, time.monotonic() - began)
        elif isinstance(said, Ended) and said.code == 0:
            yield Finding(
                "reports-only-once",
                "warning",
                what=f"it ended after one report, and max_epochs is {self.spec.max_epochs}",
                why="a bad trial cannot be stopped early",
                fix="report every epoch" + (AT_ITS_END if self._is_told_epochs() else EVERY_EPOCH),
            )
        elif isinstance(said, Ended):
            yield Finding(
                "program-fails-later",
                "error",
                what=f"after its first report it {described(said)}: {last_words(said)}",
                why="trials would fail like this",
                fix="run the command by hand",
            )
        elif isinstance(said, PatternTooSlow):
            yield _too_slow(said)
        elif said is None:
            yield NotChecked("whether it reports again", "no second report in time; --timeout MINUTES gives it longer")

    def _of_all(self, training: ProgramTraining, epoch_s: float) -> Iterator[Item]:
        """See whether a program that is told its epochs reports more of them; where they take a part of the time left.

        epoch_s: how long the second took.
        """
        limit_s, most = (self.end - time.monotonic()) / 4, self.spec.max_epochs
        if not self._is_told_epochs() or epoch_s * most > limit_s:
            return
        until = time.monotonic() + limit_s
        for _ in range(most - 1):
            training.answer()
            if not isinstance(training.said(max(0.0, until - time.monotonic())), Epoch):
                return
        yield Finding(
            "reports-too-often",
            "warning",
            f"it is told to train for {plural(most, 'epoch')}, and reports more",
            "a trial ends at its report number max_epochs, before it is trained",
            "have the pattern take the epoch from the line, (?P<epoch>\\d+), or find one line an epoch",
        )

    def _of_more(self, training: ProgramTraining) -> Iterator[Item]:
        if training.told_again is not None:
            name, epoch, first, later = training.told_again
            yield Finding(
                "several-values-an-epoch",
                "warning",
                f"epoch {epoch:g} has {name} {number(first)}, and {number(later)} later",
                "the first counts, which may be that of a batch",
                "have objective.reports find the line at the end of an epoch alone, by a word that only it has",
            )


def _too_slow(slow: PatternTooSlow) -> Finding:
    return Finding("pattern-too-slow", "error", what=slow.what, why="a trial with such a line fails", fix=slow.fix)


def _written_by_all(paths: list[str]) -> Finding:
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return Finding(
        "shared-file",
        "warning",
        what=f"every run writes {paths[0]}{others} in the directory that all trials share",
        why="two workers at a time spoil it, and a trial that reads it goes on from what another one learned",
        fix="have it write below {checkpoints}, which a trial keeps, or {scratch}: both may stand in the command",
    )


def _source(todo: list[Path], directory: Path) -> str:
    """Return the text of these files, and of those beside them that they name, as a shell script names another."""
    beside = {file for suffix in SCRIPTS for file in directory.glob(f"*{suffix}")} - {*todo}
    text = ""
    while todo:
        text += "\n".join(file.read_text(errors="replace") for file in todo if file.is_file())
        todo = [file for file in beside if file.name in text]
        beside -= {*todo}
    return text
