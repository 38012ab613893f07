"""What an editor may do with a study. `forms` has the page of each, which says what will happen, and one button.

`ACTIONS` names them; each is also a command (`studies stop`, `resume`, `queue`, `retry`, `delete`), and in the API for
scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Schema

from studies import names, steering, whole
from studies.errors import WrongInput
from studies.record.overview import StudyState
from studies.spec.domain import Fixed
from studies.study import space_of, spec_of, typed
from studies.web.site import Site

if TYPE_CHECKING:
    import optuna

    from studies.record.overview import Overview


@dataclass(frozen=True)
class Field:
    """What a form asks for. hint: what may be given. kind: of an HTML input."""

    name: str
    label: str
    value: str = ""
    hint: str = ""
    kind: str = "text"


class Sent(BaseModel):
    """What a script sends with an action: nothing, unless it says more. Checked as it stands, `"9"` being no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SentTrials(Sent):
    """How many trials there are in the end."""

    n_trials: int = Schema(ge=1, le=steering.MAX_TRIALS)


class SentParams(Sent):
    """A trial's parameters; the others are at their defaults, or for the sampler to choose."""

    params: dict[str, Any]


class SentName(Sent):
    """The study's name again, to be sure."""

    name: str


@dataclass(frozen=True)
class Action:
    """One thing to do. what: the page's title. then: what will happen. button: on it. done: said afterwards.

    do: carries it out for a study's name as it is typed, with what a form or a script sent, and returns what happens
    now. fields: what the form asks for. takes: what a script sends. note: what the page says of this very study. ends:
    the study is gone then. takes_trial: it is about one trial, whose number is in the address.
    """

    what: str
    then: str
    button: str
    done: str
    do: Callable[[Site, str, Mapping[str, Any]], str]
    fields: Callable[[optuna.Study, Overview], list[Field]] = lambda study, overview: []
    takes: type[Sent] = Sent
    note: Callable[[Site, optuna.Study], str | None] = lambda site, study: None
    ends: bool = False
    takes_trial: bool = False

    def carry_out(self, site: Site, study: optuna.Study, given: Mapping[str, Any]) -> str:
        """Do it, and show no page that was drawn before. Return what happens now. Raises StudiesError."""
        said = self.do(site, typed(site.storage, study.study_name), given)
        site.lately.forget()
        return said


def _stop(site: Site, name: str, given: Mapping[str, Any]) -> str:
    return steering.stop(site.storage, name)


def _resume(site: Site, name: str, given: Mapping[str, Any]) -> str:
    return steering.resume(site.storage, name)


def _trials(site: Site, name: str, given: Mapping[str, Any]) -> str:
    text = str(given.get("n_trials", ""))
    if not text.isdecimal():
        raise WrongInput(reason=f"The number of trials is {text!r}; expected a whole number, such as 60.")
    return steering.resume(site.storage, name, int(text))


def _queue(site: Site, name: str, given: Mapping[str, Any]) -> str:
    if "params" in given:  # a script's, which have types
        params = given["params"]
    else:
        filled = {key.removeprefix("param:"): text for key, text in given.items() if key.startswith("param:") and text}
        params = {key: steering.value_of(text, key) for key, text in filled.items()}
    return f"Trial {steering.queue(site.storage, name, params)} of {name} is queued; it runs next."


def _retry(site: Site, name: str, given: Mapping[str, Any]) -> str:
    number = int(given["number"])
    return f"Trial {steering.retry(site.storage, name, number)} of {name} repeats trial {number}; it runs next."


def _delete(site: Site, name: str, given: Mapping[str, Any]) -> str:
    if names.exact(given.get("name", "")) != names.exact(name):
        raise WrongInput(reason=f"The name is {given.get('name', '')!r}; expected {name!r}, to be sure.")
    whole.delete(site.storage, site.settings, whole.whole(site.storage, name))
    return f"{name} is deleted."


def _left_elsewhere(site: Site, study: optuna.Study) -> str | None:
    return whole.whole_of(site.storage, study).left_elsewhere(site.settings)


def _trials_fields(study: optuna.Study, overview: Overview) -> list[Field]:
    n = str(spec_of(study).n_trials or overview.total or "")
    return [Field("n_trials", "Trials in the end", n, f"{overview.done} have ended", "number")]


def _queue_fields(study: optuna.Study, overview: Overview) -> list[Field]:
    free = [one for one in steering.settable(study).parameters.values() if not isinstance(one.domain, Fixed)]
    declared = space_of(study).parameters  # a plain function's parameters have no default
    # One that exists only under some value of another has its default then, and is none to send otherwise.
    given = [one.name in declared and one.default in one.domain and not one.when for one in free]
    defaults = [steering.text_of(one.default) if is_given else "" for one, is_given in zip(free, given, strict=True)]
    return [
        Field(f"param:{one.name}", one.name, default, steering.written(one))
        for one, default in zip(free, defaults, strict=True)
    ]


def _unknown(site: Site, study: optuna.Study) -> str | None:
    is_known = bool(steering.settable(study).parameters)
    return None if is_known else "Which parameters there are is known once a trial has begun."


def _delete_fields(study: optuna.Study, overview: Overview) -> list[Field]:
    return [Field("name", "The study's name, to be sure")]


ACTIONS = {
    "stop": Action(
        what="Stop the study",
        then="Every worker, on every machine, leaves after its current epoch. Its trial waits and goes on from its "
        "checkpoint later.",
        button="Stop",
        done="Workers leave after their current epoch.",
        do=_stop,
    ),
    "resume": Action(
        what="Continue the study",
        then="The stop is forgotten, and so are the failures so far. Workers that are still there go on; "
        "`studies worker NAME` starts one on any machine.",
        button="Continue",
        done="The study is open for workers.",
        do=_resume,
    ),
    "trials": Action(
        what="Change the number of trials",
        then="The study ends when it has so many. A stop is forgotten.",
        button="Change",
        done="The number of trials is changed.",
        do=_trials,
        fields=_trials_fields,
        takes=SentTrials,
    ),
    "queue": Action(
        what="Queue a trial",
        then="It runs next, and counts as one of the study's trials. What is left empty is at its default, or for the "
        "sampler to choose.",
        button="Queue",
        done="The trial is queued.",
        do=_queue,
        fields=_queue_fields,
        takes=SentParams,
        note=_unknown,
    ),
    "retry": Action(
        what="Try a failed trial again",
        then="A trial with the same parameters and seed is queued. Both count.",
        button="Try again",
        done="The trial is queued again.",
        do=_retry,
        takes_trial=True,
    ),
    "delete": Action(
        what="Delete the study",
        then="The study goes with all its trials, its confirmation, checkpoints and artifacts, and its logs on this "
        "machine. Nothing brings trials back but a backup.",
        button="Delete",
        done="The study is deleted.",
        do=_delete,
        fields=_delete_fields,
        takes=SentName,
        note=_left_elsewhere,
        ends=True,
    ),
}


def offered(overview: Overview) -> dict[str, str]:
    """Return the actions that make sense for a study as it stands: what each does, by its name."""
    open_ends = overview.state is not StudyState.FINISHED
    if names.confirmed(overview.name) is not None:
        fitting = {"stop": open_ends, "delete": True}
    else:
        stopped = bool(overview.row.stop) and open_ends
        fitting = {
            "stop": open_ends and not stopped,
            "resume": stopped,
            "queue": open_ends,
            "trials": True,
            "delete": True,
        }
    return {name: ACTIONS[name].what for name, fits in fitting.items() if fits}
