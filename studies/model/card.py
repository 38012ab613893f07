"""The model card: what a trained model is and rests on, how good it is, how to use it, and where its limits are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from studies.model.result import TrainingResult, compared, sections
from studies.words import clean, marked, number, plural


def model_card(result: TrainingResult) -> str:
    """Return the README.md of a model's directory."""
    parts = [_title(result), _numbers(result), _use(result), _limits(result), _origin(result)]
    return clean("\n\n".join(parts) + "\n")


def run_card(result: TrainingResult, how: Sequence[str]) -> str:
    """Return the same of a program or a plain function. how: what ran and what it left, in sentences."""
    winner = result.winner
    after = f" after epoch {result.best} of {len(result.history)}, its best" if len(result.history) > 1 else ""
    lines = [
        how[0],
        f"{winner.metric} {result.value:.6g}{after}. {compared(result) or ''}".rstrip(),
        *how[1:],
        "These numbers chose the parameters, so they flatter: score rows that it has never used.",
    ]
    description = result.description or "Run once more with the parameters that a study found."
    title = f"# {winner.study}\n\n{description}\n\n"
    return title + "".join(f"- {line}\n" for line in lines) + f"\n{_origin(result)}\n"


def _title(result: TrainingResult) -> str:
    winner, data = result.winner, result.data
    trial = "" if winner.trial is None else f", trial {winner.trial}"
    rows = "train and validation rows" if result.request.with_validation else "train rows"
    return "\n".join(
        [
            f"# {winner.study}",
            "",
            *([f"{result.description}\n"] if result.description else []),
            f"- Objective: `{winner.objective}`, parameters of the study `{winner.study}`{trial}; see `params.yaml`.",
            f"- Trained on the {rows} of the data set `{data['name']}` for {plural(len(result.history), 'epoch')}, "
            f"seed {result.seed}; the weights are those after epoch {result.best}.",
            f"- The data's sha256: `{data['sha256']}`{_sameness(result)}"
            if data["sha256"]
            else "- The objective does not say which data these are: it tells no sha256.",
            f"- The data: {', '.join(f'{name} {count:,}' for name, count in data['summary'].items())}"
            if data["summary"]
            else "- The objective does not say how many rows its data have.",
        ]
    )


def _sameness(result: TrainingResult) -> str:
    if result.same_data is None:
        return " (the study's is not known)."
    return ", the study's." if result.same_data else f"; the study's was `{result.winner.dataset.sha256}`."


def _numbers(result: TrainingResult) -> str:
    scored, baselines = {}, {}
    if result.test is not None:
        test = sections(result.test)
        scored["test"], baselines["a model that looks at nothing"] = test["scored"], test["baseline"]
    if result.value is not None:
        scored["validation"] = sections(result.history[result.best - 1])["scored"]
    names = [*dict.fromkeys([result.winner.metric, *result.winner.metrics, *result.metrics])]
    names = [name for name in names if any(name in values for values in scored.values())]
    header = " | ".join(map(marked, names))
    lines = ["## Numbers", ""]
    if scored:
        rows = [(name, _n(result, name), values) for name, values in scored.items()]
        rows += [(name, "", values) for name, values in baselines.items() if set(values) & set(names)]
        lines += [f"| rows | n | {header} |", "|---|---|" + "---|" * len(names)]
        lines += [
            f"| {name} | {n} | {' | '.join(_number(values.get(each)) for each in names)} |" for name, n, values in rows
        ]
        lines.append("")
    else:
        lines += ["Nothing was scored: the objective's training has no `test()`.", ""]
    said = [compared(result), "The test rows were scored once, after training." if result.test else None]
    return "\n".join([*lines, " ".join(sentence for sentence in said if sentence)]).rstrip()


def _use(result: TrainingResult) -> str:
    lines = ["## Use", ""]
    if result.answers is None:
        lines += [
            "`studies predict` cannot ask this model: its objective lacks `weights()` or `predictor()`. "
            "`model.safetensors` holds what its training's `state_dict()` gave.",
        ]
    else:
        lines += ["```console", "$ studies predict . INPUT", "$ studies predict . --json < FILE", "```", ""]
        lines += [result.answers or "Its predictor does not say what INPUT is."]
        lines += ["", "Other programs: `safetensors.torch.load_file('model.safetensors')`, and `fitted.json`."]
    return "\n".join(lines)


def _limits(result: TrainingResult) -> str:
    chosen = (
        "The validation number chose the parameters and the epoch, so it flatters; the test number did not."
        if result.value is not None
        else "No validation rows were left to choose the epoch by: it was trained for the epochs found before."
    )
    return f"""## Limits

- One training with one seed: another seed gives other numbers.
- {chosen}
- It was tested on rows of its own data set alone, and answers whatever it is asked, however unlike those.
- Where it gives probabilities, they are the network's own; nobody has calibrated them."""


def _origin(result: TrainingResult) -> str:
    return f"## Provenance\n\n```json\n{json.dumps(result.provenance, indent=1)}\n```"


def _n(result: TrainingResult, role: str) -> str:
    summary: Mapping[str, int] = result.data["summary"]
    for name in (role, f"{role}_sessions"):
        if name in summary:
            return f"{summary[name]:,}{' sessions' if name != role else ''}"
    return ""


def _number(value: float | None) -> str:
    return "" if value is None else number(value)
