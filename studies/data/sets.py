"""The data sets of objectives: where each is, what is missing of it, how to get it and prepare it.

What is true of a data set its objective says, by the same functions that a launch prepares it with. So objectives are
imported here, in this process, and torch with them, which takes a second or two: only what shows or gets data calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from studies import spec as specs
from studies.data.download import DownloadFailed, download, unpack
from studies.errors import NotFetched, ObjectiveRefused, StudiesError, WrongInput
from studies.run.objective import import_objective, without_options
from studies.settings import Settings
from studies.words import meant, near

BUNDLED, GENERATED, READY, MISSING, UNKNOWN = "bundled", "generated", "ready", "missing", "read by the objective itself"


@dataclass(frozen=True)
class DataSet:
    """One data set as it is now.

    objectives: dotted paths of those that have it. about: one sentence. rights: licence and publisher. state: one of
    the above. files: the raw ones, unless they are missing. downloads: raw files that do not ship, as the objective
    declares them. prepared: whether a launch would find it prepared.
    """

    name: str
    objectives: tuple[str, ...]
    about: str
    rights: str
    state: str
    files: tuple[Path, ...] = ()
    downloads: tuple[Any, ...] = ()
    prepared: bool = False

    @property
    def n_bytes(self) -> int:
        """The size of the raw files that are there."""
        return sum(path.stat().st_size for path in self.files)

    def stands(self, data: Path) -> str:
        """Return the state for a person: where it is, or what to do about it. data: the directory of full data sets."""
        if self.state == READY:
            places = {path.parent for path in self.files}
            return f"ready at {self.files[0] if len(self.files) == 1 else min(places)}"
        if self.state != MISSING:
            return self.state
        absent = [one for one in self.downloads if one.needed and not (data / one.path).is_file()]
        if all(one.urls for one in absent):
            return f"missing: `studies data fetch {self.name}`"
        return "missing: " + ", ".join(f"put {Path(one.path).name} into {(data / one.path).parent}" for one in absent)


def of_catalog() -> list[str]:
    """Return the dotted paths of the catalog's objectives; a program reads its own data."""
    found = (specs.load(name).objective for name in specs.catalog())
    return list(dict.fromkeys(path for path in found if isinstance(path, str)))


def survey(paths: Iterable[str], settings: Settings) -> list[DataSet]:
    """Return every data set of these objectives, once each; raises ObjectiveRefused."""
    found: dict[tuple[str, str], DataSet] = {}
    for path in paths:
        objective = import_objective(path)
        datasets = getattr(objective, "datasets", {})
        for name, about in datasets.items():
            if ":" in name and name.partition(":")[0] in datasets:
                continue  # the same files, asked for something else
            known = found.get((name, about))
            if known:
                found[name, about] = replace(known, objectives=(*known.objectives, path))
            else:
                found[name, about] = look(path, name, settings)
    return list(found.values())


def look(path: str, name: str, settings: Settings) -> DataSet:
    """Return the data set `name` of an objective, or a path to one's own, as it is now; raises ObjectiveRefused."""
    objective = import_objective(path)
    plain = without_options(name)
    about = getattr(objective, "datasets", {}).get(plain, "")
    origins = getattr(objective, "origins", {})
    own = Path(plain).expanduser()
    if not origins or (plain not in origins and not own.exists()):
        return DataSet(name, objectives=(path,), about=about, rights="", state=UNKNOWN)
    rights, downloads = "a file of your own", ()
    if plain in origins:
        rights, downloads = origins[plain].rights, tuple(origins[plain].downloads)
    try:
        files = tuple(objective.files(name, settings.data))
        prepared = objective.opened(name, settings.data, settings.home / "prepared") is not None
    except ValueError:  # the objectives' DataError
        return DataSet(name, objectives=(path,), about=about, rights=rights, state=MISSING, downloads=downloads)
    state = BUNDLED if plain in origins and not downloads else READY
    return DataSet(
        name,
        objectives=(path,),
        about=about,
        rights=rights,
        state=state if files else GENERATED,
        files=files,
        downloads=downloads,
        prepared=prepared,
    )


def state_of(path: str, name: str, settings: Settings) -> str:
    """Return how a data set stands, for a table: prepared, or where it is, or what to do; an objective may be gone."""
    try:
        found = look(path, name, settings)
    except (StudiesError, ImportError):
        return "unknown"
    return "prepared" if found.prepared else found.stands(settings.data)


def find(name: str, path: str | None, settings: Settings) -> DataSet:
    """Return the data set `name` of the objective at `path`, or of the first in the catalog that has it.

    Raises WrongInput for a name that none has, and ObjectiveRefused.
    """
    known: dict[str, None] = {}
    plain = without_options(name)
    for each in [path] if path else of_catalog():
        datasets = getattr(import_objective(each), "datasets", {})
        if plain in datasets or (path and Path(plain).expanduser().exists()):
            return look(each, name, settings)
        known |= dict.fromkeys(one for one in datasets if ":" not in one)
    if Path(plain).expanduser().exists():
        raise WrongInput(
            reason=f"{name} is a file of your own; --objective says whose form it has, such as --objective "
            f"{of_catalog()[0]}."
        )
    beside = meant(Path(plain).name, (file.name for file in Path(plain).parent.glob("*"))) if "/" in plain else ""
    raise WrongInput(reason=f"There is no data set or file {name!r}{beside or near(name, known)}")


def fetch(found: DataSet, data: Path, told: Callable[[str, int, int | None], None]) -> list[Path]:
    """Download what the data set lacks into `data`, and check what is there; return the files that are new.

    told: gets each file's name, the bytes of it that are here, and of how many if that is known. Raises NotFetched.
    """
    new: list[Path] = []
    for one in found.downloads:
        target = data / one.path
        if found.state == READY and one.needed and not target.is_file():
            continue  # its content is there in another form: unpacked, or by another name
        if one.urls:
            new += _fetch(found.name, one, target, told)
        elif not target.is_file():
            raise NotFetched(
                name=found.name,
                reason=f"only a person may get {target.name}",
                todo=f"download it from {one.page} and put it into {target.parent}",
            )
    return new


def _fetch(name: str, one: Any, target: Path, told: Callable[[str, int, int | None], None]) -> list[Path]:
    absent = [path for path in (target, *(target.parent / member for member in one.members)) if not path.is_file()]
    try:
        download(one.urls, target, one.md5, partial(told, target.name))
        unpack(target, one.members, partial(told, f"unpacking {target.name}"))
    except DownloadFailed as failed:
        raise NotFetched(
            name=name,
            reason=failed,
            todo=f"`studies data fetch {name}` goes on from here, or get {one.urls[0]} by hand and put it into "
            f"{target.parent}",
        ) from None
    return absent


def prepare(found: DataSet, settings: Settings, progress: Callable[[str, float], None]) -> Any:
    """Prepare a data set as a launch does, and return it; raises ObjectiveRefused with what is wrong with it."""
    objective = import_objective(found.objectives[0])
    try:
        return objective.prepare(found.name, settings.data, settings.directory("prepared"), progress)
    except ValueError as error:  # the objectives' DataError among them
        missing = [one for one in found.downloads if one.needed] if found.state == MISSING else []
        fetchable = bool(missing) and all(one.urls for one in missing)
        hint = f"; `studies data fetch {found.name}` gets what is missing" if fetchable else ""
        raise ObjectiveRefused(reason=f"{error}{hint}") from None
