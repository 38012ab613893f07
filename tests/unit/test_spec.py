"""A study file: what is accepted, and what a mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from studies import spec
from studies.errors import UnknownStudy, WrongSpec

PROGRAM = "name: mine\nobjective: {{command: a, config: {}}}\nmetric: x\ndirection: minimize\nn_trials: 1\n"
GOOD = "name: mine\nobjective: my.models:Net\ndirection: maximize\nn_trials: 3\n"


def read(tmp_path: Path, text: str, *overrides: str) -> spec.StudySpec:
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    return spec.load(str(file), [spec.Override.parsed(text) for text in overrides])


def test_every_shipped_study_is_valid_and_named_as_its_file() -> None:
    for name in spec.catalog():
        assert spec.load(name).name == name


def test_numbers_without_a_dot_are_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD + "space: {learning_rate: {low: 1e-5, high: 1e-1}}").space == {
        "learning_rate": {"low": 1e-5, "high": 0.1}
    }


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    study = read(tmp_path, GOOD + "sampler: {seed: 010}\nspace: {a: [0x1f, 0o17, -3, 1:30, 2026-01-01, 1_000]}")
    assert study.sampler.seed == 10
    assert study.space == {"a": [31, 15, -3, "1:30", "2026-01-01", "1_000"]}


def test_overrides_reach_into_the_file(tmp_path: Path) -> None:
    study = read(tmp_path, GOOD, "n_trials=8", "space.batch_size=[64]", "sampler.seed=3")
    assert (study.n_trials, study.space, study.sampler.seed) == (8, {"batch_size": [64]}, 3)


def test_a_name_alone_is_stored_in_full(tmp_path: Path) -> None:
    given = read(tmp_path, GOOD + "sampler: tpe\npruner: none\n")
    full = read(tmp_path, GOOD + "sampler: {name: tpe}\npruner: {name: none}\n")
    assert given == full
    assert given.model_dump()["sampler"] == {"name": "tpe", "seed": 0}
    assert read(tmp_path, GOOD + "sampler: tpe\n", "sampler.seed=3").sampler == spec.Sampler(name="tpe", seed=3)
    assert read(tmp_path, GOOD, "sampler=tpe", "sampler.seed=3").sampler == spec.Sampler(name="tpe", seed=3)


def test_options_are_stored_only_where_there_are_some(tmp_path: Path) -> None:
    """A version without options reads what this one stores."""
    assert read(tmp_path, GOOD).sampler.model_dump() == {"name": "gp", "seed": 0}
    given = read(tmp_path, GOOD + "sampler: {name: tpe, options: {multivariate: true}}")
    assert given.model_dump()["sampler"] == {"name": "tpe", "options": {"multivariate": True}, "seed": 0}
    assert spec.StudySpec.model_validate(given.model_dump()) == given


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "study.yaml:1: it holds no"),
        ("- a\n", "study.yaml:1: it holds no"),
        ("name: [\n", "study.yaml:2: "),
        (GOOD + "nam: x\n", "study.yaml:5: unknown key 'nam'; did you mean name?"),
        (GOOD + "max_failures: 3\n", "belongs under `limits:`, as in `limits: {max_failures: ...}`"),
        (GOOD + "limits: {n_trials: 3}\n", "unknown key 'n_trials'; it belongs at the top of the file, not indented"),
        (GOOD.replace("mine", "My_Study 2"), "expected small letters, digits and dashes, such as 'my-study-2'"),
        (GOOD.replace("mine", "Größe 2"), "expected small letters, digits and dashes, such as 'groe-2'"),
        ("study: mine\nparams: {x: 1}\n", "study.yaml: it is what `studies export` writes, no study file; `studies"),
        (GOOD + "sampler:\n  sed: 1\n", "study.yaml:6: unknown key 'sed'; did you mean seed?"),
        (PROGRAM.format("{fiel: x}"), "unknown key 'fiel'; did you mean file?"),
        (PROGRAM.format("3"), "config is 3: expected keys and values, such as {file: ...}"),
        (GOOD + "name: twice\n", "study.yaml:5: key 'name' is given twice"),
        (GOOD.replace("n_trials: 3", "n_trials: 0"), "study.yaml:4: n_trials is 0: it should be greater than"),
        (GOOD.replace("mine", "My Study"), "study.yaml:1: name is 'My Study'"),
        (GOOD.replace("mine", "mine@2"), "study.yaml:1: name is 'mine@2', as `studies` itself names versions"),
        (GOOD.replace("mine", "mine-confirm"), "study.yaml:1: name is 'mine-confirm', as `studies` itself names"),
        (GOOD.replace("mine", "m" * 101), "it should have at most 100 characters"),
        (GOOD.replace("maximize", "up"), "study.yaml:3: direction is 'up': it should be 'maximize' or 'minimize'"),
        (
            GOOD + "sampler:\n  name: tpee\n",
            "study.yaml:6: sampler is 'tpee': expected one of gp, tpe, random, qmc, cmaes, nsga2, grid, or module:Name "
            "of your own; did you mean tpe?",
        ),
        (GOOD + "pruner: {name: never}\n", "study.yaml:5: pruner is 'never': expected one of asha, "),
        (GOOD + "pruner: never\n", "study.yaml:5: pruner is 'never': expected one of asha, "),
        (
            GOOD + "resources: {workers_per_gpu: many}\n",
            "study.yaml:5: workers_per_gpu is 'many': expected a whole number from 1 on, or auto",
        ),
        (
            GOOD + "resources: {workers_per_gpu: 0}\n",
            "workers_per_gpu is 0: expected a whole number from 1 on, or auto",
        ),
        ("name: mine\n", "the key 'objective' is missing"),
        (GOOD + "space:\n  c: {{ c_value }}\n", "study.yaml:6: {{ ... }} is a template that was not filled in"),
        (GOOD + "space:\n  c: {low: 0,1, high: 0,5}\n", "study.yaml:6: a comma splits a number before '1'"),
        (GOOD + "on: 3\n", "study.yaml:5: the key on is true or false in YAML; expected text, such as 'on' in quotes"),
        (GOOD + "3: on\n", "study.yaml:5: the key 3 is a number in YAML"),
        (GOOD + "~: on\n", "study.yaml:5: the key ~ is nothing in YAML"),
        (GOOD + "? [a]\n: 1\n", "study.yaml:5: {{ ... }} is a template"),
        (
            GOOD + "require: [n < 3, 4]\n",
            "study.yaml:5: entry 2 of require is 4: expected such as n_filters * 4 <= 1024",
        ),
        (GOOD + 'description: "a\x00b"\n', "study.yaml:5: character 0x0 is not text"),
        (
            "a: &x 1\nb: !!python/object/apply:os.system ['true']\n",
            "study.yaml:2: the tag python/object/apply:os.system is not",
        ),
        (GOOD + "space: {a: !!set {b, c}}\n", "study.yaml:5: the tag set is not known here; remove it"),
        (GOOD + "description: !!binary aGk=\n", "study.yaml:5: the tag binary is not"),
        (GOOD + "space: !range [1, 2]\n", "study.yaml:5: the tag !range is not"),
        (GOOD + "space:\n\ta: 1\n", "study.yaml:6: a tab; indent with spaces"),
        (GOOD + "---\nname: other\n", "study.yaml:5: a second document begins; keep one in a file"),
        (GOOD + "description: a: b\n", "study.yaml:5: a colon where none can be; check the indentation"),
        (GOOD + 'description: "a\n', "study.yaml:6: a quote that is not closed"),
        (GOOD + "space: &a {b: *a}\n", "study.yaml: it is nested too deeply, or a part of it holds itself"),
        (GOOD + f"space: {'[' * 3000}\n", "study.yaml: it is nested too deeply"),
        (GOOD + "space:\n", "study.yaml:5: space is null: expected keys and values, such as {key: ...}"),
        (GOOD + "sampler: [tpe]\n", "sampler is ['tpe']: expected a name, such as gp, or keys and values, such as {"),
        (GOOD + "pruner: false\n", "pruner is false: expected a name, such as asha, or keys and values, such as {"),
        (GOOD + "pruner: false\n", "such as {name: asha}; none prunes nothing"),
        (GOOD + "limits: 5\n", "study.yaml:5: limits is 5: expected keys and values, such as {hours: ...}"),
        (GOOD + "start_with: {x: 1}\n", "study.yaml:5: start_with is {'x': 1}: expected a list, such as [...]"),
        (GOOD + "constraints: {n: 5}\n", 'study.yaml:5: n is 5: expected such as "<= 5" or ">= 5"'),
        (GOOD + "constraints: n <= 5\n", 'expected keys and values, such as {n_parameters: "<= 2e6"}'),
        (GOOD + "require: x <= 5\n", "require is 'x <= 5': expected a list, such as [\"x <= 5\"]"),
        (GOOD + "start_with: best.yaml\n", "start_with is 'best.yaml': expected a list, such as [...]"),
        (GOOD + "sampler: {name: 5}\n", "sampler is 5: expected one of gp, tpe"),
        (GOOD.replace("objective: ", "objective: 5 # "), "objective is 5: expected such as module:train, or {command:"),
        (GOOD.replace("objective: ", "objective: {command: 5} # "), "command is 5: expected such as python train.py"),
        (GOOD.replace("objective: ", "objective: {command: [a, 5]} # "), "entry 2 is 5; expected text, in quotes"),
        (GOOD + "metric: [loss]\n", "study.yaml:5: metric is ['loss']: expected text"),
        (GOOD.replace("name: mine", "name: 7"), "study.yaml:1: name is 7: expected text, such as '7' in quotes"),
        (GOOD.replace("name: mine", "name: yes"), "study.yaml:1: name is true: expected text"),
        (GOOD.replace("n_trials: 3", "n_trials: true"), "study.yaml:4: n_trials is true: expected a number"),
        (GOOD + "limits: {hours: yes}\n", "study.yaml:5: hours is true: expected a number"),
        (GOOD + "resources: {workers_per_gpu: true}\n", "workers_per_gpu is true: expected a"),
        (GOOD.replace("n_trials: 3", f"n_trials: {10**30}"), "expected 2147483647 or less"),
        (GOOD + f"sampler: {{seed: {10**20}}}\n", "seed is 100000000000000000000: expected 2147483647 or less"),
        (GOOD + "limits: {hours: .inf}\n", "hours is inf: expected 2147483647 or less"),
        (GOOD + "limits: {trial_minutes: 1e9}\n", "it should be less than or equal to 1000000"),
        (GOOD + f"sampler: {'x' * 5000}\n", "xxx...: expected one of gp, tpe"),
    ],
)
def test_a_mistake_is_pointed_at(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(WrongSpec) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("./mine/own.py", "expected a module as Python imports it, or a name in it, such as mine.own:train"),
        ("python train.py --lr 1", "a command line is a program: {command: python train.py --lr 1}"),
    ],
)
def test_an_objective_that_is_a_path_or_a_command(tmp_path: Path, objective: str, expected: str) -> None:
    with pytest.raises(WrongSpec, match=re.escape(f"study.yaml:2: objective is {objective!r}: ")) as caught:
        read(tmp_path, re.sub("objective: .*", f"objective: {objective}", GOOD))
    assert expected in str(caught.value)


def test_a_mistake_in_an_override_names_the_override(tmp_path: Path) -> None:
    with pytest.raises(WrongSpec, match="--set n_trials=many: n_trials is 'many'"):
        read(tmp_path, GOOD, "n_trials=many")
    with pytest.raises(WrongSpec, match="expected KEY=VALUE"):
        read(tmp_path, GOOD, "n_trials")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(WrongSpec, match="not UTF-8"):
        spec.load(str(file))


def test_unknown_names_get_the_nearest_known_one() -> None:
    with pytest.raises(UnknownStudy, match="did you mean meli-cnn"):
        spec.load("meli-cn")
    with pytest.raises(WrongSpec, match="no such study file"):
        spec.load("nowhere/study.yaml")


def test_a_key_with_dots_is_replaced_as_any_other(tmp_path: Path) -> None:
    file = GOOD + "space:\n  opt.lr: {low: 1, high: 2}\n  opt: [1, 2]\n"
    assert read(tmp_path, file, "space.opt.lr=0.5", "space.opt=3").space == {"opt.lr": 0.5, "opt": 3}
    assert read(tmp_path, file, "space.opt.lr.low=1.5").space["opt.lr"] == {"low": 1.5, "high": 2}
    with pytest.raises(WrongSpec, match=r"--set space\.opt\.lr=1: space\.opt\.lr\.low is given already"):
        read(tmp_path, file, "space.opt.lr.low=1.5", "space.opt.lr=1")
