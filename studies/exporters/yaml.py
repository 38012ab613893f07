"""The best parameters as YAML: plain scalars and lists, in the order in which a person reads them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import yaml

from studies import names
from studies.errors import NothingToExport
from studies.record.choice import require_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studies.record.study import StudyRecord, TrialRecord


def render(record: StudyRecord) -> str:
    """Return the best parameters with where they come from; after a confirmation, the winner's with its mean.

    With repeats, the value is their mean.

    Raises NothingToExport, IsConfirmation.
    """
    return dumped(content_of(record))


def content_of(record: StudyRecord) -> dict[str, Any]:
    """Return the same as plain data, which `studies.model.winner` reads.

    Raises NothingToExport, IsConfirmation, and ChooseFromFront where several trials are the best.
    """
    names.refuse_confirmation(record.spec.name, record.spec.name, "export")
    require_choice(record)
    best = record.best
    if best is None:
        raise NothingToExport(name=record.typed, why=record.lacks, states=record.states)
    content: dict[str, Any] = {
        "study": record.spec.name,
        "objective": record.spec.model_dump(include={"objective"})["objective"],
        "dataset": {"name": record.data["name"], "sha256": record.data["sha256"]},
        **_tuned(record, best),
        "params": best.params,
        "epochs": best.epoch,
        "trial": best.number,
        "n_trials": record.counts,
        "provenance": {key: best.provenance.get(key) for key in ("commit", "dirty", "torch", "device", "threads")}
        | {"seed": best.seed},
    }
    if (its := best.repeated) is not None:
        content["repeated"] = {"value_sd": its.sd, "n_seeds": its.n, "value_of_trial": best.value}
    if record.confirmation is not None and (winner := record.confirmed) is not None:
        tied = [s.trial for s in record.confirmation.standings if s.may_be_best and s.trial != winner.trial]
        content["confirmed"] = {
            "value_mean": winner.mean,
            "value_sd": winner.sd,
            "n_seeds": record.confirmation.n_seeds,
            "n_contenders": len(record.confirmation.standings),
            "no_different_from": tied,
        }
    elif record.spec.has_several and (fresh := fresh_of(record, best)) is not None:
        content["confirmed"] = fresh
    return content


def _tuned(record: StudyRecord, best: TrialRecord) -> dict[str, Any]:
    spec = record.spec
    if spec.has_several:
        return {"metrics": dict(spec.metrics), "values": record.named(best)}
    return {"metric": spec.metric, "direction": spec.direction, "value": best.ranking}


def fresh_of(record: StudyRecord, best: TrialRecord) -> dict[str, Any] | None:
    """Return mean and standard deviation of each of several metrics under fresh seeds; None before a confirmation."""
    found = record.confirmation
    standing = next((one for one in found.came_through if one.trial == best.number), None) if found else None
    if found is None or standing is None or not standing.spreads:
        return None
    spreads = dict(zip(record.spec.metrics, standing.spreads, strict=True))
    return {
        "value_means": {name: mean for name, (mean, _) in spreads.items()},
        "value_sds": {name: sd for name, (_, sd) in spreads.items()},
        "n_seeds": found.n_seeds,
    }


def dumped(content: Mapping[str, Any]) -> str:
    """Return plain data as YAML, its keys in their order."""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Lists of scalars on one line, and numbers that read back as numbers."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        """See yaml: a list in an exported file is a short one."""
        return super().represent_sequence(tag, sequence, flow_style=True)


def _float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    # YAML 1.1 reads 1e-05 as text: it wants a dot in the mantissa.
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(float, _float)
_Dumper.add_multi_representer(StrEnum, lambda dumper, value: dumper.represent_str(value.value))
