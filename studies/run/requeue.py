"""A worker that Slurm sends away, at its time limit or for another job, has its task of the array queued again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping

SLURM_TIMEOUT_S = 60.0  # for the controller to answer


def requeue(say: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> None:
    """Queue this process's task again, if it is a task of a Slurm array and this worker all that runs in it.

    Slurm ends what still runs of it at once, so this is a worker's last act. Nothing happens where the task is
    cancelled already, or Slurm queues it again by itself.
    """
    array, index = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    if array is None or index is None or environment.get("SLURM_STEP_NUM_TASKS") != "1":
        return
    task = f"{array}_{index}"
    try:
        if _said("squeue", "--noheader", "--jobs", task, "--format", "%T") == "RUNNING":
            say(f"Slurm starts task {task} again as soon as there is room")
            _said("scontrol", "requeue", task)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"task {task} could not be queued again: {getattr(error, 'stderr', None) or error}")


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SLURM_TIMEOUT_S)
    return done.stdout.strip()
