"""A program as an objective: each trial starts it once, and each epoch is one of its reports."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from studies import program as protocol
from studies.errors import ObjectiveRefused
from studies.logs.log import Log
from studies.logs.places import trial_log
from studies.names import Reason
from studies.run.config_file import configured
from studies.run.kept_files import packed, unpack
from studies.run.kernel import kernel_oom_kills
from studies.run.last_words import last_words
from studies.run.preload import Preloader
from studies.run.process import Ended, Pipes, Process, Run, Start, described, executed, signal_behind
from studies.run.reports import Epoch, Journal, PatternTooSlow, WrittenFile
from studies.run.source import missing_script
from studies.settings import SECRETS
from studies.spec import Program, StudySpec
from studies.spec.program import CONFIG, filled, filled_text
from studies.words import plural, shown

TRACE_CHARACTERS = 4000  # in which it may say that memory ran out
NO_MEMORY = ("out of memory", "memoryerror", "cannot allocate memory", "can't allocate memory", "bad_alloc")
NEVER_STARTS = ("no such file or directory", "permission denied", "exec format error")  # no other trial could start it
ASKED_TO_END = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class ProgramFailed(Exception):
    """A program ended with an error. signal: that it was killed by, if it was."""

    def __init__(self, ended: Ended, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.ended, self.reason = ended, reason

    @property
    def was_asked_to_end(self) -> bool:
        """Whether what killed it may have asked its worker to end as well. A shell adds 128 to its child's signal."""
        return -self.ended.code in ASKED_TO_END or self.ended.code - 128 in ASKED_TO_END


class ProgramEnded(Exception):
    """A program ended in order before `max_epochs`, or at the trial's time limit, as its words say: it is complete."""


@dataclass(frozen=True)
class ProgramObjective:
    """The program of a study.

    logs: the directory of the trials' logs; None is a temporary one for each. patient: after its last epoch a program
    may take as long as it likes to end.
    """

    spec: StudySpec
    logs: Path | None = None
    patient: bool = False

    @property
    def program(self) -> Program:
        """What the study file says of it."""
        assert isinstance(self.spec.objective, Program)
        return self.spec.objective

    @cached_property
    def start_process(self) -> Start:
        """How its processes are started; where it has modules to preload, these are imported once a worker."""
        return Preloader(self.program.preload) if self.program.preload else executed

    @property
    def metrics(self) -> Mapping[str, str]:
        """The study's metrics: what else a program reports is not known before."""
        return self.spec.metrics

    @property
    def space(self) -> Mapping[str, Any]:
        """What the study file has."""
        return self.spec.space

    @property
    def datasets(self) -> Mapping[str, str]:
        """The study's, whatever it is."""
        return {self.spec.dataset: "read by the program itself"}

    def logging_to(self, logs: Path) -> ProgramObjective:
        """Return the same with its trials' logs in this directory."""
        return replace(self, logs=logs)

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Callable[[str, float], None]) -> None:
        """See that the script is there, which all trials start; the program reads what it needs itself."""
        directory = Path(self.program.directory or ".").absolute()
        if "{" not in self.program.directory and (script := missing_script(self.program.words, directory)):
            raise ObjectiveRefused(
                reason=f"{directory} has no {script}, which objective.command names; type this where it is, or set "
                "objective.directory"
            )

    def start(
        self, params: Mapping[str, Any], data: Any, *, seed: int, device: str, number: int = 0
    ) -> ProgramTraining:
        """Return a training that starts the program at its first epoch. number: of the trial."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        return ProgramTraining(self, params, seed, number, 1 if device == "cpu" else len(visible))


class ProgramTraining:
    """One trial's program. See `Training` for its epochs; it has to be closed in the end.

    n_kept: after `load_state_dict`, how many epochs of the state the program goes on after; fewer than it had where it
    began anew, which `note` says in words.
    """

    def __init__(
        self, objective: ProgramObjective, params: Mapping[str, Any], seed: int, number: int, n_gpus: int
    ) -> None:
        self._objective, self._spec = objective, objective.spec
        self._params, self._seed, self._number, self._n_gpus = params, seed, number, n_gpus
        self.n_kept, self.note = 0, ""
        self._numbers: list[float] = []  # the program's own, of the epochs that count
        self._held: Epoch | Ended | None = None  # what it said while it was resumed
        self._waits = False
        self._scratch = Path(tempfile.mkdtemp(prefix=f"studies-trial-{number}-"))
        self._checkpoints = self._scratch / "checkpoints"
        self._checkpoints.mkdir()
        self._pipes = Pipes(self._scratch)
        self._journal = Journal(self._spec.metrics)
        self._oom_kills = kernel_oom_kills()
        self._began = time.monotonic()
        self._process: Process | None = None

    def epoch(self) -> dict[str, float]:
        """Wait for the next report. Raises ProgramEnded, ProgramFailed, and ObjectiveRefused if it cannot start."""
        self.answer()
        said = self._in_time()
        if isinstance(said, Ended):
            self._conclude(said)
        assert isinstance(said, Epoch)
        self._count(said)
        if len(self._numbers) == self._spec.max_epochs:
            self._finish()
        return said.metrics

    def state_dict(self) -> dict[str, Any]:
        """Return the files that it has in its directory of checkpoints, and which epochs they are after."""
        files = packed(self._checkpoints)
        return {"numbers": list(self._numbers)} | ({} if files is None else {"files": files})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start the program with these files, and see by its first report where it goes on."""
        before: list[float] = state["numbers"]
        over = f"started over after {plural(len(before), 'epoch')}"
        if "files" not in state:
            self.note = f"{over}: the program keeps nothing in STUDIES_CHECKPOINTS"
            return
        unpack(state["files"], self._checkpoints)
        self._journal.begin = before[-1]
        self._held = self._in_time()
        first = self._held.number if isinstance(self._held, Epoch) else float("inf")
        self._numbers = [number for number in before if number < first]
        self.n_kept = len(self._numbers)
        if not self.n_kept:
            self.note = f"{over}, although it had its checkpoints"
        elif self.n_kept < len(before):
            self.note = f"went back from epoch {len(before)} to {self.n_kept}, where its checkpoint was"

    @property
    def memory_mib(self) -> float | None:
        """The peak of the program's resident set, in MiB, once it has ended."""
        ended = None if self._process is None else self._process.ended
        return None if ended is None else ended.memory_mib

    def keep_checkpoints(self, directory: Path) -> None:
        """End the program, and move its checkpoints to a directory, which is made if there are any."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        if any(self._checkpoints.iterdir()):
            shutil.move(self._checkpoints, directory)

    def close(self) -> None:
        """End the program, with everything that it started, and remove its scratch directory."""
        if self._process is not None:
            self._process.close()
        self._pipes.close()
        shutil.rmtree(self._scratch, ignore_errors=True)  # where no supervisor has

    def said(self, timeout_s: float) -> Epoch | Ended | PatternTooSlow | None:
        """Return the program's next report, how it ended, or why it is not read on; None where that takes longer."""
        try:
            said = self._next(timeout_s)
        except queue.Empty:
            return None
        if isinstance(said, Epoch):
            self._count(said)
        return said

    @property
    def names(self) -> set[str]:
        """The names of everything that it has reported so far."""
        return self._journal.names

    @property
    def told_again(self) -> tuple[str, float, float, float] | None:
        """See `Journal.again`."""
        return self._journal.again

    @property
    def silence(self) -> str:
        """What it reported, where no epoch came of that, as the end of a sentence."""
        names, wrong = sorted(self._journal.names), self._journal.no_numbers
        if wrong:
            name, value = next(iter(wrong.items()))
            return f"reported {name} as {shown(value)}, which is no number"
        if names:
            return f"reported {', '.join(names)}"
        reports = self._objective.program.reports
        if reports.file is not None:
            needs = "a header and rows" if reports.csv else "a JSON object in each line"
            return f"reported nothing in {reports.file}, which needs {needs}"
        return "reported nothing" if reports.pattern is None else "printed no line that the pattern matches"

    def answer(self) -> None:
        """Let the program go on, if it waits."""
        if self._waits and self._process is not None:
            self._waits = False
            self._process.answer()

    def _in_time(self) -> Epoch | Ended:
        """Return the next report, or how it ended; at the trial's time limit it is made to end."""
        limit = self._spec.limits.trial_minutes
        try:
            said = self._next(None if limit is None else limit * 60 - (time.monotonic() - self._began))
            if isinstance(said, PatternTooSlow):
                raise ProgramFailed(Ended(None), Reason.EXCEPTION, str(said))
            return said
        except queue.Empty:
            limit_words = f"at its limit of {limit:g} minutes"
        if self._numbers:
            raise ProgramEnded(f"stopped {limit_words}")
        ended = Ended(None)
        raise ProgramFailed(
            ended, Reason.EXCEPTION, f"the program reported nothing before it was stopped {limit_words}"
        )

    def _next(self, timeout_s: float | None = None) -> Epoch | Ended | PatternTooSlow:
        if self._held is not None:
            held, self._held = self._held, None
            return held
        if self._process is None:
            self._process = self._started()
        return self._process.events.get(timeout=None if timeout_s is None else max(0.0, timeout_s))

    def _count(self, epoch: Epoch) -> None:
        self._numbers.append(epoch.number)
        self._waits = epoch.waits

    def _finish(self) -> None:
        """Let the program end after its last epoch. It is made to if it trains on, or takes longer than its grace."""
        assert self._process is not None
        self.answer()
        try:
            grace_s = None if self._objective.patient else self._spec.resources.grace_s
            said = self._process.events.get(timeout=grace_s)
            if isinstance(said, PatternTooSlow):  # no epoch is missing
                said = self._process.events.get(timeout=grace_s)
        except queue.Empty:
            said = None
        if not isinstance(said, Ended):
            self._process.terminate()
        elif said.code != 0:
            raise self._failure(said)

    def _conclude(self, ended: Ended) -> None:
        if (ended.error or "").endswith(NEVER_STARTS):
            raise ObjectiveRefused(reason=f"the program {described(ended)}")
        if ended.code != 0:
            raise self._failure(ended)
        if not self._numbers:
            raise ProgramFailed(ended, Reason.EXCEPTION, self._silence(ended))
        raise ProgramEnded

    def _silence(self, ended: Ended) -> str:
        """Return what is wrong with a program that ended in order and told nothing."""
        said = f"; it printed last: {words}" if not self._journal.names and (words := last_words(ended)) else ""
        expected = " and ".join(map(repr, self._spec.metrics))
        return f"the program exited with 0 and {self.silence}; expected {expected}{said}"

    def _failure(self, ended: Ended) -> ProgramFailed:
        """Return why the program failed: memory that ran out is told apart, since the sampler learns from it."""
        detail = f"the program {described(ended)}"
        if ended.status is None:
            return ProgramFailed(ended, Reason.LOST, detail)
        killed = -ended.code == signal.SIGKILL or signal_behind(ended.code) == "SIGKILL"
        if killed and kernel_oom_kills() > self._oom_kills:
            return ProgramFailed(ended, Reason.OUT_OF_MEMORY, f"{detail}: the kernel was out of memory")
        words = last_words(ended)
        said = ended.tail[-TRACE_CHARACTERS:].lower()
        reason = Reason.OUT_OF_MEMORY if any(no in said for no in NO_MEMORY) else Reason.EXCEPTION
        return ProgramFailed(ended, reason, f"{detail}: {words}" if words else detail)

    def _started(self) -> Process:
        program, spec = self._objective.program, self._spec
        trial = self._trial()
        directory = Path(filled_text(program.directory, self._params, trial) or ".").absolute()
        if program.config is not None:
            directory, trial[CONFIG] = configured(program, directory, self._params, trial)
        file = filled_text(program.reports.file or "", self._params, trial)
        kind = "csv" if program.reports.csv else "jsonl"
        words = filled(program.words, self._params, trial)
        return Process(
            Run(words, directory, self._environment(), self._scratch, spec.resources.grace_s),
            self._objective.start_process,
            Log(trial_log(self._objective.logs or self._scratch, self._number)),
            self._pipes,
            self._journal,
            program.reports.pattern,
            WrittenFile(directory / file, kind) if file else None,
        )

    def _trial(self) -> dict[str, Any]:
        return {
            "seed": self._seed,
            "max_epochs": self._spec.max_epochs,
            "trial": self._number,
            "n_gpus": self._n_gpus,
            "scratch": str(self._scratch),
            "checkpoints": str(self._checkpoints),
            "python": sys.executable,
        }

    def _environment(self) -> dict[str, str]:
        params = self._scratch / "params.json"
        params.write_text(json.dumps(dict(self._params)))
        given = {
            protocol.PARAMS: str(params),
            protocol.SEED: str(self._seed),
            protocol.CHECKPOINTS: str(self._checkpoints),
            protocol.REPORTS: str(self._pipes.reports),
            protocol.ANSWERS: str(self._pipes.answers),
            "STUDIES_SCRATCH": str(self._scratch),
            "STUDIES_STUDY": self._spec.name,
            "STUDIES_TRIAL": str(self._number),
            "STUDIES_MAX_EPOCHS": str(self._spec.max_epochs),
            # Python keeps what it prints to a pipe for itself until there are some thousand characters of it.
            "PYTHONUNBUFFERED": os.environ.get("PYTHONUNBUFFERED", "1"),
        }
        if not self._spec.resources.gpus_per_worker:
            given["CUDA_VISIBLE_DEVICES"] = ""
        return {key: value for key, value in os.environ.items() if key not in SECRETS} | given
