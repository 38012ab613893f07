"""Where the logs of a study are: of its launches, of their workers, of its trials."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from studies import names
from studies.logs.noted import note_study, noted_process, noted_study

TRIAL = "trial-"
N_LAUNCHES = 10  # of a study, whose workers' logs are looked at


def launch_name() -> str:
    """Return what a launch, or a check, of this process is called from now on: by when it began, and by the process."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def process_of(launch: Path) -> int | None:
    """Return the process that a launch, or a check, is called by; None for what is no such directory."""
    _, dash, pid = launch.name.rpartition("-")
    return int(pid) if dash and pid.isdecimal() and launch.is_dir() else None


def trial_log(directory: Path, number: int) -> Path:
    """Return the log of a trial. directory: of the study's logs."""
    return directory / f"{TRIAL}{number}.log"


def of_trials(directory: Path, uid: str | None) -> Path:
    """Return where the trials' logs of a study are in the directory of its name. uid: None for whichever is first."""
    if uid is None or (noted_study(directory) in (None, uid) and not (directory / uid).is_dir()):
        return directory
    return directory / uid


def for_trials(directory: Path, uid: str) -> Path:
    """Return the same, created, to be written to."""
    note_study(directory, uid)
    own = of_trials(directory, uid)
    own.mkdir(exist_ok=True)
    note_study(own, uid)
    return own


def trials_with_logs(directory: Path) -> list[int]:
    """Return the numbers of the trials that have a log in the directory of the study's logs, in order."""
    found = (log.stem.removeprefix(TRIAL) for log in directory.glob(f"{TRIAL}*.log"))
    return sorted(int(number) for number in found if number.isdecimal())


def worker_logs(home: Path, study: str, uid: str | None = None) -> list[Path]:
    """Return the logs of the workers of the last launch on this machine, in order; none where there was no launch.

    uid: of the study that it was of; None for whichever.
    """
    launches = _newest_first([home / "logs" / study], uid)
    newest = next((logs for launch in launches if (logs := list(launch.glob("worker-*.log")))), [])
    return sorted(newest, key=lambda log: (len(log.name), log.name))


def known_logs(home: Path, study: str, uid: str | None = None) -> dict[str, Path]:
    """Return the study's logs on this machine by name: `LAUNCH/worker-0` of its last launches, and `trial-7`."""
    found = logs_of_workers(home, study, uid)
    if is_name(study):
        found |= {log.stem: log for log in of_trials(home / "logs" / study, uid).glob(f"{TRIAL}*.log")}
    return found


def logs_of_workers(home: Path, study: str, uid: str | None = None) -> dict[str, Path]:
    """Return those of `known_logs` that are workers', the newest launch first; what trials printed is not looked at."""
    if not is_name(study):
        return {}
    launches = _newest_first({home / "logs" / study, home / "logs" / base_of(study)}, uid)
    logs = ((launch, sorted(launch.glob("worker-*.log"))) for launch in launches)
    newest = itertools.islice(((launch, found) for launch, found in logs if found), N_LAUNCHES)
    return {f"{launch.name}/{log.stem}": log for launch, found in newest for log in found}


def logs_of_processes(known: Mapping[str, Path], wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the name of the log that each of the wanted processes writes, by its host and number, as far as known.

    known: see `logs_of_workers`. The newest launches are looked at first, and no more than it takes.
    """
    found: dict[tuple[str, int], str] = {}
    for name, log in known.items():
        if len(found) == len(wanted):
            break
        process = noted_process(log)
        if process is not None and process in wanted:
            found.setdefault(process, name)
    return found


def studies_with_logs(home: Path, study: str) -> set[str]:
    """Return the `uid` of each study of this name, or a version of it, that has logs on this machine."""
    directories = {home / "logs" / name for name in (study, base_of(study))} if is_name(study) else set()
    noted = {noted_study(each) for directory in directories for each in (directory, *_launches(directory))}
    return {uid for uid in noted if uid is not None}


def is_name(study: str) -> bool:
    """Whether a study can have a directory of its own: one that no study file made may be named ../others."""
    return all(part and Path(part).name == part != ".." for part in (study, base_of(study)))


def base_of(study: str) -> str:
    """Return the name without a version, and without what a confirmation adds to it."""
    return names.parts(names.confirmed(study) or study)[0]


def _launches(directory: Path) -> list[Path]:
    """Return the directories in a study's; beside them may be thousands of trials' logs."""
    try:
        with os.scandir(directory) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:  # no launch was here
        return []


def _newest_first(directories: Iterable[Path], uid: str | None) -> Iterator[Path]:
    """Yield the launches in these directories of studies, but none that is noted as another study's."""
    launches = [launch for directory in directories for launch in _launches(directory)]
    for launch in sorted(launches, key=lambda launch: launch.name, reverse=True):
        if uid is None or noted_study(launch) in (None, uid):
            yield launch
