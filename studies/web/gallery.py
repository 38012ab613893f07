"""The report's figures in optuna-dashboard: artifacts of the study, and a note that shows them with the answer."""

from __future__ import annotations

import hashlib
import io
import itertools
import threading
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from studies import names
from studies.artifacts import link
from studies.names import ARTIFACT, GALLERY
from studies.web.background import beside

if TYPE_CHECKING:
    import optuna

    from studies.artifacts import Store
    from studies.report.document import Document
    from studies.storage import Storage

EVERY_S = 60.0
SECTIONS = ("Answer", "Given against found", "Predictions of the best trial", "Interactions", "Diagnoses")
MAX_NOTE = 20_000  # characters; the dashboard keeps a note in pieces of 2,045


def keep_up_to_date(storage: Storage, artifacts: Store, say: Callable[[str], None]) -> AbstractContextManager[None]:
    """Publish every study in the background, and again within EVERY_S of the end of a trial. say: told what fails."""
    return beside("gallery", partial(_keep, storage, artifacts, say))


def _keep(storage: Storage, artifacts: Store, say: Callable[[str], None], ended: threading.Event) -> None:
    said: set[str] = set()

    def tried(what: str, task: Callable[[], Any]) -> Any:
        # The dashboard goes on without figures, and one study that cannot be drawn does not keep the others from it.
        try:
            return task()
        except Exception as error:
            line = f"{what}: {type(error).__name__}: {error}"
            if line not in said and not ended.is_set():
                say(line)
            said.add(line)

    while not ended.is_set():
        for study_id, name, n_ended in tried("Cannot read the studies", partial(_studies, storage)) or ():
            drawing = partial(publish, storage, artifacts, study_id, name, n_ended, ended)
            tried(f"Cannot draw the figures of {name}", drawing)
        ended.wait(EVERY_S)


def _studies(storage: Storage) -> list[tuple[int, str, int]]:
    """Return our studies, the newest first: id, name as it means no other version, how many trials have ended.

    Those of its confirmation are among them: the figures show both.
    """
    found, ended = storage.ledger.started_studies(), storage.ledger.n_ended()
    n_confirming = {names.confirmed(study.name): ended.get(study.study_id, 0) for study in found}
    return [
        (study.study_id, names.exact(study.name), ended.get(study.study_id, 0) + n_confirming.get(study.name, 0))
        for study in reversed(found)
    ]


def publish(
    storage: Storage,
    artifacts: Store,
    study_id: int,
    name: str,
    n_ended: int,
    ended: threading.Event | None = None,
) -> bool:
    """Put a study's figures and note into the dashboard; return False when they are there already.

    n_ended: how many of its trials have ended, and of its confirmation's. A note that a person wrote or changed stays
    as it is.
    Raises StudyNotStarted, and OSError for a store that cannot be written.
    """
    from studies.record.reading import read
    from studies.report.png import pictures
    from studies.report.sections import document
    from studies.study import get

    study = get(storage, name)
    before: dict[str, Any] = study.user_attrs.get(GALLERY, {})
    if before.get("n_ended") == n_ended and all(_is_there(artifacts, figure) for figure in before["figures"]):
        return False
    page = document(read(storage, name))
    figures: dict[str, str] = {}
    for file, content in pictures(page):
        if ended is not None and ended.is_set():
            return False
        figures[file] = _upload(study, artifacts, file, content, set(figures.values()))
    gone = set(before.get("figures", ())) - set(figures.values())
    _forget(storage, study_id, artifacts, gone)
    note = _write_note(study, before.get("note"), _note(page, study_id, figures))
    study.set_user_attr(GALLERY, {"n_ended": n_ended, "figures": list(figures.values()), "note": note})
    return True


def _upload(study: optuna.Study, artifacts: Store, file: str, content: bytes, taken: set[str]) -> str:
    """Keep a figure under an id that follows from what it shows, in the place of the one before it."""
    shown = file.partition("-")[2]  # the number in front changes when another figure comes before it
    own = f"studies/{study.study_name}/{study._study_id}"
    ids = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"{own}/{n}/{shown}")) for n in itertools.count())
    artifact_id = next(candidate for candidate in ids if candidate not in taken)
    artifacts.write(artifact_id, io.BytesIO(content))
    # As optuna.artifacts.upload_artifact does, which takes an id of its own each time.
    study._storage.set_study_system_attr(study._study_id, ARTIFACT + artifact_id, link(artifact_id, file))
    return artifact_id


def _is_there(artifacts: Store, artifact_id: str) -> bool:
    from optuna.artifacts.exceptions import ArtifactNotFound

    try:
        artifacts.open_reader(artifact_id).close()
    except ArtifactNotFound:
        return False
    return True


def _forget(storage: Storage, study_id: int, artifacts: Store, gone: set[str]) -> None:
    storage.optuna.delete_study_system_attrs(study_id, [ARTIFACT + artifact_id for artifact_id in gone])
    for artifact_id in gone:
        artifacts.remove(artifact_id)


def _note(page: Document, study_id: int, figures: dict[str, str]) -> str:
    from studies.report.page import as_markdown

    told = replace(page, sections=[section for section in page.sections if section.title in SECTIONS])
    shown = [f"![{file}](/artifacts/{study_id}/{artifact_id})" for file, artifact_id in figures.items()]
    return "\n\n".join([as_markdown(told)[:MAX_NOTE], *shown])


def _write_note(study: optuna.Study, ours: str | None, note: str) -> str | None:
    """Write the note unless a person's is there; return the digest of what we wrote last."""
    from optuna_dashboard import get_note, save_note

    present = get_note(study)
    if present and _digest(present) != ours:
        return ours
    if present != note:
        save_note(study, note)
    return _digest(note)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
