"""Every STUDIES_* environment variable, read in one place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from studies.errors import HomeNotWritable, WrongInput
from studies.names import stored

MOST_S = 1e9  # 30 years: no wait of Python's or PostgreSQL's may be much longer
SECRETS = ("STUDIES_STORAGE", "STUDIES_WEBHOOK", "STUDIES_WEBHOOK_SECRET")  # not for what else is started
NOTEBOOK = "notebook"  # below home: objectives that were taken from notebooks


@dataclass(frozen=True)
class Settings:
    """Where things are. Nothing here is created before it is needed.

    storage: URL of a PostgreSQL server (STUDIES_STORAGE, which may name a file that holds it), or None for the embedded
        one.
    home: where the embedded server, logs and prepared data live (STUDIES_HOME).
    data: where the user puts full data sets (STUDIES_DATA).
    artifacts: where checkpoints and what the dashboard shows beside a trial are kept (STUDIES_ARTIFACTS): a directory,
        or s3://BUCKET/PREFIX; None is the home.
    lease_s: a worker that is silent for longer is dead, and its trial is taken over (STUDIES_LEASE_S): long enough for
        a machine that stalls, short enough for a night.
    storage_wait_s: how long a worker waits for a server that went away (STUDIES_STORAGE_WAIT_S).
    python: with `--on ssh`, the Python of an environment with torch on the machines (STUDIES_PYTHON); with None, one is
        made there.
    webhook: the address that is told what happens to a launch (STUDIES_WEBHOOK); None is nobody.
    webhook_secret: what these messages are signed with (STUDIES_WEBHOOK_SECRET); None signs none.
    notify_command: a command of a shell that is told the same (STUDIES_NOTIFY_COMMAND), such as one that sends an
        e-mail; None is none.
    """

    storage: str | None
    home: Path
    data: Path
    lease_s: float = 60.0
    storage_wait_s: float = 600.0
    artifacts: str | None = None
    python: str | None = None
    webhook: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    notify_command: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables; an empty one counts as absent."""
        state = environment.get("XDG_DATA_HOME") or "~/.local/share"
        home = _path(environment.get("STUDIES_HOME") or f"{state}/studies", "STUDIES_HOME")
        data = _path(environment.get("STUDIES_DATA") or home / "data", "STUDIES_DATA")
        return cls(
            storage=_url(environment.get("STUDIES_STORAGE")),
            home=home,
            data=data,
            lease_s=_seconds(environment, "STUDIES_LEASE_S", cls.lease_s),
            storage_wait_s=_seconds(environment, "STUDIES_STORAGE_WAIT_S", cls.storage_wait_s),
            artifacts=environment.get("STUDIES_ARTIFACTS") or None,
            python=environment.get("STUDIES_PYTHON") or None,
            webhook=environment.get("STUDIES_WEBHOOK") or None,
            webhook_secret=environment.get("STUDIES_WEBHOOK_SECRET") or None,
            notify_command=environment.get("STUDIES_NOTIFY_COMMAND") or None,
        )

    def with_storage(self, url: str | None) -> Settings:
        """Return the same settings with --storage taking the place of STUDIES_STORAGE. url: or a file that holds it."""
        return replace(self, storage=_url(url)) if url else self

    def environment(self) -> dict[str, str]:
        """Return the variables that give these settings to a process elsewhere. They may hold a password."""
        given = {
            "STUDIES_STORAGE": self.storage,
            "STUDIES_HOME": self.home,
            "STUDIES_DATA": self.data,
            "STUDIES_ARTIFACTS": self.artifacts,
            "STUDIES_LEASE_S": self.lease_s,
            "STUDIES_STORAGE_WAIT_S": self.storage_wait_s,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    def logs_of(self, study: str, *parts: str) -> Path:
        """Return the directory of a study's logs, or one in it, created: the same however a person types its name."""
        return self.directory("logs", stored(study), *parts)

    def directory(self, *parts: str) -> Path:
        """Return a directory below home, created; HomeNotWritable when this user may not."""
        path = self.home.joinpath(*parts)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(13, "permission denied")
        except OSError as error:
            raise HomeNotWritable(path=path, reason=(error.strerror or str(error)).lower()) from None
        return path


def _url(given: str | None) -> str | None:
    """Return a storage's URL, which a file may hold: so no command line has its password. None for no text."""
    text = (given or "").strip()
    if not text or "://" in text:
        return text or None
    try:
        file = Path(text).expanduser()
        held = file.read_text(encoding="utf-8").strip() if file.is_file() else text
    except (OSError, ValueError, RuntimeError) as error:
        raise WrongInput(
            reason=f"The storage {masked(text)!r} is no URL and cannot be read as a file ({error})."
        ) from None
    if "://" not in held and held != text:
        raise WrongInput(
            reason=f"The file {text} holds no URL; expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        )
    return held


def _path(given: str | Path, name: str) -> Path:
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError:
        raise WrongInput(
            reason=f"{name} would be {str(given)!r}, but HOME is not set and user id {os.geteuid()} has no home "
            f"directory; set {name} to a directory that this user can write to, such as {name}=/tmp/studies."
        ) from None


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    given = environment.get(name)
    try:
        seconds = float(given) if given else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_S:
        raise WrongInput(reason=f"{name} is {given!r}; expected a number of seconds above 0, such as {name}=60.")
    return seconds


def masked(text: str) -> str:
    """Return text with the password of every URL in it replaced by ***."""
    text = re.sub(r"(\w+://[^/\s:@]*):\S*@", r"\1:***@", text)
    return re.sub(r"(password=)[^&\s]+", r"\1***", text)
