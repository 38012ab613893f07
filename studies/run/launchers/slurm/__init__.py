"""Workers as tasks of a Slurm array. Nothing here schedules: Slurm starts the tasks, and workers pull their trials.

`script` has what is submitted, `queue` every command of Slurm's. A worker that Slurm sends away, at its time limit or
for another job, has its task queued again (`studies.run.requeue`): workers go on when this process has ended.
"""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studies.errors import DONE, FAILED, UNFINISHED, WrongInput
from studies.files import write_secret
from studies.logs.noted import noted_process
from studies.run.launchers import Exit
from studies.run.launchers.reach import only_here, refusal
from studies.run.launchers.scheduled import ScheduledLauncher
from studies.run.launchers.slurm import queue, script
from studies.run.launchers.slurm.queue import Seen, SlurmFailed
from studies.settings import Settings
from studies.words import last_line, plural

if TYPE_CHECKING:
    from studies.spec import StudySpec

LOOK_S = 5.0  # from one look at the queue to the next
GONE = Seen(queue.FORGOTTEN)
OPTIONS = "options of sbatch are given as --slurm KEY=VALUE, or in resources.slurm of the study file"
ADVICE = {  # where sbatch says this
    "Invalid job array": "--workers has to be smaller: `scontrol show config | grep MaxArraySize` shows what may be",
    "invalid partition": "`sinfo` shows the partitions that there are",
    "Unable to contact": "`scontrol ping` shows whether Slurm's controller answers",
    "did not answer": "`scontrol ping` shows whether Slurm's controller answers",
}


@dataclass(frozen=True)
class Task:
    """One task of an array: one worker after the other, where it is queued again."""

    job: str
    index: int

    def __str__(self) -> str:
        """As Slurm names it."""
        return f"{self.job}_{self.index}"


class SlurmLauncher(ScheduledLauncher):
    """See `Launcher`. `logs` has a log file for each worker, and has to be where every node sees it."""

    kill_s, closing_s = 60.0, 1.0

    def __init__(self, spec: StudySpec, settings: Settings, n_workers: int, say: Callable[[str], None]) -> None:
        if shutil.which("sbatch") is None:
            raise WrongInput(
                reason="--on slurm needs the command sbatch, and it is not in PATH; type the same on a machine of the "
                "cluster from which jobs are submitted."
            )
        _check_storage(settings, spec.resources.slurm)
        super().__init__(spec, settings, n_workers, say)
        self._secret = self.logs / "settings.sh"
        self._tasks: list[Task] = []
        self._n_started = 0
        self._nothing_left = False

    def start(self, study: str, n_workers: int) -> None:
        """See `Launcher`. Raises WrongInput where Slurm refuses, unless other workers are there already."""
        job_script = self.logs / "job.sh"
        write_secret(self._secret, script.settings_file(self._settings).encode())
        job_script.write_text(script.render(study, self._spec.resources, self.logs, self._secret))
        indices = range(self._n_started, self._n_started + n_workers)
        try:
            job = queue.submit(job_script, f"{indices[0]}-{indices[-1]}")
        except SlurmFailed as error:
            if not self._tasks:
                raise _explained(error) from None
            self._say(f"No other worker was started: {error}.")
            return
        self._tasks += [Task(job, index) for index in indices]
        self._n_started += n_workers
        self._say(f"Slurm job {job}: {plural(n_workers, 'worker')}; `squeue --job {job}` shows them.")

    def running(self) -> int:
        """See `Launcher`. Those that wait for their turn count."""
        return len(self._tasks)

    def reap(self) -> list[Exit]:
        """See `Launcher`."""
        if not self._tasks or time.monotonic() < self._look_at:
            return []
        self._look_at = time.monotonic() + LOOK_S
        seen = self._asked("Slurm", lambda: queue.look(self._jobs()))
        if seen is None:
            return []
        ended = {task: at for task in self._tasks if (at := seen.get(str(task), GONE)).has_ended}
        self._tasks = [task for task in self._tasks if task not in ended]
        self._send_away(seen)
        return [self._exit(task, at) for task, at in ended.items()]

    def kill(self) -> None:
        """See `Launcher`."""
        self._killed, self._look_at = True, 0.0
        if self._tasks:
            queue.kill([str(task) for task in self._tasks])

    def close(self) -> None:
        """See `Launcher`."""
        super().close()
        self._secret.unlink(missing_ok=True)

    def _jobs(self) -> list[str]:
        return sorted({task.job for task in self._tasks})

    def _send_away(self, seen: dict[str, Seen]) -> None:
        """Cancel what still waits where nothing is left to do; ask those that run to leave, once this was asked.

        A worker leaves by itself only when no trial is left for anybody.
        """
        self._nothing_left |= any(each.state == queue.COMPLETED for each in seen.values())
        states = {seen[str(task)].state for task in self._tasks}
        if (self._stopped or self._nothing_left) and queue.PENDING in states:
            queue.cancel_waiting(self._jobs())
        if self._stopped and queue.RUNNING in states:  # again at each look: one that begins does not hear it yet
            queue.ask_to_leave(self._jobs())

    def _exit(self, task: Task, seen: Seen) -> Exit:
        log = self.logs / f"worker-{task.index}.log"
        # Where it ran last, as it is known in the storage; no place where it never did.
        host, pid = noted_process(log) or ("", 0)
        if self._killed and seen.state != queue.COMPLETED:
            return Exit(host, pid, -signal.SIGKILL, "it was killed")
        if seen.state in (queue.COMPLETED, queue.CANCELLED, queue.FORGOTTEN):
            return Exit(host, pid, DONE, None)  # a person who cancels a task wants one worker less
        if seen.state == queue.FAILED:
            return Exit(host, pid, seen.exit_code, last_words(log))
        if seen.state == queue.TIMEOUT:
            return Exit(
                host, pid, FAILED, "its time was over before its epoch; --slurm signal=TERM@600 warns it sooner"
            )
        if seen.state == queue.PREEMPTED:  # where the cluster does not queue it again
            return Exit(host, pid, UNFINISHED, "Slurm has given its place to another job.")
        error = f"Slurm ended it: {seen.state.lower().replace('_', ' ')}"
        return Exit(host, pid, FAILED, error, out_of_memory=seen.state == queue.OUT_OF_MEMORY)


def last_words(log: Path) -> str:
    """Return the last line of a worker's log that is not Slurm's own."""
    try:
        return last_line(log.read_text(errors="replace"), but=("srun: ", "slurmstepd")) or "its log is empty"
    except OSError:
        return f"it wrote no log; is {log.parent} there on the node?"


def _check_storage(settings: Settings, options: dict[str, str | bool]) -> None:
    """Raise WrongInput where workers on other machines could not reach the storage."""
    where = only_here(settings)
    if where is None:
        return
    try:
        elsewhere = queue.nodes(options) - {socket.gethostname(), socket.gethostname().partition(".")[0]}
    except SlurmFailed as error:
        raise _explained(error) from None
    if elsewhere:
        raise refusal(f"--on slurm may start workers on {sorted(elsewhere)[0]}", where)


def _explained(error: SlurmFailed) -> WrongInput:
    """Return what Slurm said, and what to do about it."""
    todo = next((todo for part, todo in ADVICE.items() if part in str(error)), OPTIONS)
    return WrongInput(reason=f"{error}; {todo}.")
