"""Hydra's config groups, such as `model: cnn, mlp`: which are a choice, and what each of their options brings along."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from studies.templates.script.ranges import NOT_TUNED
from studies.templates.script.usage import Option, of_hydra

GROUP = re.compile(r"^([\w/]+): (.+)$", re.MULTILINE)
MOST = 12  # options that the program is started for, to see what each brings along
# Groups that say where and how to train, or bring whole experiments.
_NOT_CHOSEN = "hydra experiment logger loggers callbacks callback extras paths trainer env hparams search task"
NOT_CHOSEN = NOT_TUNED | {*_NOT_CHOSEN.split()}

Config = Mapping[str, Option]


def options_of(text: str, asked: Callable[[str], str]) -> list[Option]:
    """Return the groups and the values of the config whose help is `text`.

    A group is a choice where the config has one of its options; a value that only some of them bring along exists with
    these. asked(override): what the program prints with it when it is asked for help; "" where it fails.
    """
    first = {option.flag: option for option in of_hydra(text)}
    config: Config = first
    choices: list[Option] = []
    n_asked = 0
    for group, names in _groups(text).items():
        if len(names) < 2 or n_asked + len(names) > MOST:
            continue
        n_asked += len(names)
        found = {name: {option.flag: option for option in of_hydra(asked(f"{group}={name}"))} for name in names}
        brought = {name: values for name, values in found.items() if values}
        default = next((name for name in brought if brought[name] == first), None)
        if default is not None and len(brought) > 1:
            choices.append(Option(group, default=default, choices=tuple(brought)))
            config = _with(config, choices[-1], brought)
    return [*choices, *config.values()]


def _groups(text: str) -> dict[str, Sequence[str]]:
    shown = text.partition("== Configuration groups ==")[2].partition("== Config ==")[0]
    groups = {found[1]: found[2].split(", ") for found in GROUP.finditer(shown)}
    return {group: names for group, names in groups.items() if not NOT_CHOSEN & {*re.split(r"[_/]", group.lower())}}


def _with(config: Config, choice: Option, brought: Mapping[str, Config]) -> Config:
    """Return the config with what the options of a group bring along: other defaults, and values of their own."""
    known = dict(config)
    for flag in dict.fromkeys(flag for values in brought.values() for flag in values):
        having = {name: values[flag] for name, values in brought.items() if flag in values}
        option = known.get(flag) or next(iter(having.values()))
        others = [other.default for other in having.values() if other.default not in (option.default, *option.others)]
        when = {choice.name: tuple(having)} if len(having) < len(brought) else {}
        known[flag] = replace(option, others=(*option.others, *others), when={**option.when, **when})
    return known
