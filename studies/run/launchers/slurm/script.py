"""What is submitted to Slurm: a job script without a secret in it, and beside it a file with the settings."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from studies.settings import Settings
from studies.spec.slurm import SIGNAL

if TYPE_CHECKING:
    from studies.spec.model import Resources

DEFAULTS: dict[str, str | bool] = {"requeue": True, "open-mode": "append", "signal": SIGNAL}

SCRIPT = """\
#!/bin/bash
# One worker of {study}. `sbatch --array=0-3 FILE` submits four. Passwords are in {secret} alone.
{options}

set -o allexport
source {secret} || exit 2
set +o allexport
[ -z "${{SLURM_CPUS_PER_TASK-}}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # srun does not take it over

# Which process writes the log is written down before it begins, as `studies.logs.noted` reads it.
srun --export=ALL bash -c 'echo "$(hostname) $$" > "$0" && exec "$@"' \\
    {process} \\
    {python} -P -m studies worker {study} --threads "$SLURM_CPUS_ON_NODE"
"""


def render(study: str, resources: Resources, directory: Path, secret: Path) -> str:
    """Return the job script. study: as a worker takes it. directory: of logs, which every node has to see."""
    options = DEFAULTS | {"job-name": f"studies-{study}"}
    if resources.threads_per_worker is not None:
        options |= {"cpus-per-task": str(resources.threads_per_worker)}
    options |= resources.slurm
    options |= {"output": str(directory).replace("%", "%%") + "/worker-%a.log"}
    lines = [
        f"#SBATCH --{name}" + ("" if value is True else f"={quoted(str(value))}") for name, value in options.items()
    ]
    return SCRIPT.format(
        study=study,
        options="\n".join(lines),
        secret=shlex.quote(str(secret)),
        process=shlex.quote(str(directory)) + "/worker-$SLURM_ARRAY_TASK_ID.process",
        python=shlex.quote(sys.executable),
    )


def settings_file(settings: Settings) -> str:
    """Return the settings as a shell reads them, and the password that libpq may have been given beside them."""
    given = settings.environment()
    if password := os.environ.get("PGPASSWORD"):
        given["PGPASSWORD"] = password
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.items())


def quoted(value: str) -> str:
    """Return a value as Slurm reads it in a line of `#SBATCH`: a backslash escapes in quotes, too."""
    if shlex.quote(value) == value:
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
