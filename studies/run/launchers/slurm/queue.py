"""Every command of Slurm's that a launch needs.

What is known of tasks comes from one `squeue` for all of them, never from `sacct`: it asks a database that many
impatient users bring down.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from studies.errors import FAILED as FAILED_CODE
from studies.run.launchers.scheduled import SchedulerFailed
from studies.run.signals import LEAVE

ANSWER_S = 60.0  # for Slurm to answer
PENDING, RUNNING, COMPLETED, CANCELLED, FAILED = "PENDING", "RUNNING", "COMPLETED", "CANCELLED", "FAILED"
TIMEOUT, OUT_OF_MEMORY, PREEMPTED = "TIMEOUT", "OUT_OF_MEMORY", "PREEMPTED"
FORGOTTEN = "FORGOTTEN"  # ours: Slurm remembers a task for five minutes after its end, by default
ENDED = {COMPLETED, CANCELLED, FAILED, TIMEOUT, OUT_OF_MEMORY, PREEMPTED, FORGOTTEN}
ENDED |= {"BOOT_FAIL", "DEADLINE", "NODE_FAIL"}
DEFAULT = "*"  # behind the name of the partition that is taken where none is given
WORKER = 0  # the step of a job that the worker is: the first that its script starts
COLUMNS = ("ArrayJobID", "ArrayTaskID", "State", "exit_code")


class SlurmFailed(SchedulerFailed):
    """A command of Slurm's did not do it, and said why."""


@dataclass(frozen=True)
class Seen:
    """A task as squeue shows it. status: as the kernel has it, where the task has ended."""

    state: str
    status: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether it is not queued again either."""
        return self.state in ENDED

    @property
    def exit_code(self) -> int:
        """The exit code of a task that failed; negative where a signal ended it."""
        return os.waitstatus_to_exitcode(self.status) or FAILED_CODE


def submit(job_script: Path, indices: str) -> str:
    """Submit an array, such as 0-3, and return its job. Raises SlurmFailed."""
    # The environment goes along, and is kept on the controller: nothing secret may be in it.
    said = _run("sbatch", "--parsable", f"--array={indices}", str(job_script), environment=plain(os.environ))
    return said.split()[-1].partition(";")[0]


def look(jobs: Sequence[str]) -> dict[str, Seen]:
    """Return how the tasks of some arrays are, by name; those that Slurm has forgotten are missing."""
    columns = ",".join(f"{column}:|" for column in COLUMNS)
    try:
        said = _run(
            "squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(jobs)}", f"--Format={columns}"
        )
    except SlurmFailed as error:
        if "Invalid job id" in str(error):
            return {}
        raise
    rows = [line.split("|") for line in said.splitlines()]
    return {f"{job}_{index}": Seen(state, int(status)) for job, index, state, status, *_ in rows}


def nodes(options: Mapping[str, str | bool]) -> set[str]:
    """Return the names of the machines on which a job with these options may run. Raises SlurmFailed."""
    chosen = [f"--nodes={options['nodelist']}"] if "nodelist" in options else []
    rows = [line.split() for line in _run("sinfo", "--noheader", "--Node", "--format=%P %n", *chosen).splitlines()]
    wanted = options.get("partition") or os.environ.get("SBATCH_PARTITION")
    partitions = str(wanted).split(",") if wanted else [name for name, _ in rows if name.endswith(DEFAULT)]
    return {node for name, node in rows if name in partitions or name.removesuffix(DEFAULT) in partitions}


def cancel_waiting(jobs: Sequence[str]) -> None:
    """Cancel the tasks that have not begun."""
    _try("scancel", f"--state={PENDING}", *jobs)


def ask_to_leave(jobs: Sequence[str]) -> None:
    """Ask the workers that run to leave after their epoch."""
    _try("scancel", f"--signal={LEAVE.name.removeprefix('SIG')}", f"--state={RUNNING}", *jobs)


def kill(tasks: Sequence[str]) -> None:
    """End these tasks now. Cancelled alone, each would have half a minute to end by itself."""
    _try("scancel", "--signal=KILL", *(f"{task}.{WORKER}" for task in tasks))
    _try("scancel", *tasks)


def plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a job inherits of an environment.

    Not what may hold a password, and not what belongs to this machine or to a job in which this process runs.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(("STUDIES_", "SLURM_"))}
    for name in ("PGPASSWORD", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
        kept.pop(name, None)
    return kept | {name: environment[name] for name in ("SLURM_CONF",) if name in environment}


def _try(*command: str) -> None:
    with suppress(SlurmFailed):  # tasks end meanwhile; what was missed is seen at the next look
        _run(*command)


def _run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, env=environment, check=False)
    except subprocess.TimeoutExpired:
        raise SlurmFailed(f"{command[0]} did not answer for {ANSWER_S:.0f} s") from None
    if done.returncode:
        lines = [
            line.strip().removeprefix(f"{command[0]}: ").removeprefix("error: ") for line in done.stderr.splitlines()
        ]
        said = " ".join(filter(None, lines))
        raise SlurmFailed(f"{command[0]} said: {said}")
    return done.stdout
