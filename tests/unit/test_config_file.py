"""Config files of programs: what they hold, and copies with a trial's parameters in their places."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from studies.errors import ObjectiveRefused, SpaceRefused, SpecRefused, WrongInput
from studies.run.config_file import configured, values_in
from studies.run.placeholders import check_program
from studies.spec import Program, StudySpec

YAML = """\
# of the trainer
lr: 1e-3   # the rate
dropout:
optimizer: &o
  decay: &w !!float 1
  betas:
  - 0.9
  - 0.99
net: {name: "mlp", sizes: [64, 32]}
again: *w
other: {<<: *o, lr: 2}
out: ${oc.env:HOME}
own: !path here
text: |
  two
  lines
1: x
"""
JSON = '{\n\t"lr": 1e-3, "net": {"sizes": [64, 32], "name": "mlp", "a.b": true}\n}'
TOML = 'lr = 1e-3\n[net]\nname = "mlp \\u00e9"\n"a.b" = true\nsizes = [64, 32]\n[[runs]]\nat = 2026-01-01T00:00:00Z\n'


def study(objective: dict[str, Any], space: dict[str, Any]) -> StudySpec:
    given = {"name": "mine", "objective": objective, "metric": "loss", "direction": "minimize", "n_trials": 1}
    return StudySpec.model_validate(given | {"space": space})


def copy_of(directory: Path, file: str, params: dict[str, Any], **given: Any) -> str:
    scratch = directory / "scratch"
    scratch.mkdir()
    trial = {"seed": 7, "max_epochs": 3, "trial": 0, "scratch": str(scratch)}
    program = Program.model_validate({"command": "train {config}", "config": {"file": file, **given}})
    return Path(configured(program, directory, params, trial)[1]).read_text()


@pytest.mark.parametrize(("name", "text"), [("c.yaml", YAML), ("c.json", JSON), ("c.toml", TOML)])
def test_values_are_known_by_their_dotted_names(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = values_in(tmp_path / name)
    assert not {"again", "other.<<.decay"} & found.keys()  # they are what stands elsewhere
    assert (found["lr"], found["net.sizes"]) == (1e-3, [64, 32])
    assert found["out" if name == "c.yaml" else "net.a.b"] == ("${oc.env:HOME}" if name == "c.yaml" else True)


def test_a_copy_of_yaml_differs_in_what_was_set_alone(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(YAML)
    given = {
        "lr": 1e-5, "dropout": 0.5, "optimizer.decay": 3, "optimizer.betas": [0.8, 0.9], "net.name": "a, b",
        "net.sizes": ["x: y"], "text": "no",
    }  # fmt: skip
    text = copy_of(tmp_path, "c.yaml", given)
    same = {
        "# of the trainer",
        "optimizer: &o",
        "again: *w",
        "other: {<<: *o, lr: 2}",
        "out: ${oc.env:HOME}",
        "own: !path here",
        "1: x",
    }
    assert same <= {*text.splitlines()}
    assert "lr: 1.0e-05   # the rate\n" in text  # a number for readers of YAML 1.1, too
    read = yaml.safe_load(text.replace("!path ", ""))
    for name, value in given.items():
        group, _, last = name.rpartition(".")
        assert (read[group] if group else read)[last] == value


def test_a_copy_of_json_or_toml_holds_the_same_but_for_what_was_set(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(JSON)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.toml").write_text(TOML)
    expected = json.loads(JSON)
    expected["lr"], expected["net"]["a.b"] = 1e-5, False
    assert json.loads(copy_of(tmp_path, "c.json", {"lr": 1e-5, "net.a.b": False})) == expected
    expected = tomllib.loads(TOML)
    expected["lr"], expected["net"]["name"] = 1e-5, 'ü"\n'
    assert tomllib.loads(copy_of(tmp_path / "deep", "c.toml", {"lr": 1e-5, "net.name": 'ü"\n'})) == expected


def test_what_the_study_sets_may_be_of_the_trial(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("seed: 0\nname: x\nlr: 1\nworkers: 4\nout: .\n")
    given = {"seed": "{seed}", "name": "run-{trial}", "workers": 0, "out": "{depth}"}
    text = copy_of(tmp_path, "c.yaml", {"lr": 0.5}, set=given)
    assert yaml.safe_load(text) == {"seed": 7, "name": "run-0", "lr": 0.5, "workers": 0, "out": None}


def test_without_its_path_in_the_command_a_program_starts_where_its_name_is_the_copy(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "conf").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "rows.csv").write_text("1")
    (tmp_path / "conf" / "other.yaml").write_text("b: 1")
    (tmp_path / "conf" / "c.yaml").write_text("lr: 1")
    (tmp_path / "src" / "train.py").write_text("import net")
    (tmp_path / "src" / "train.py").chmod(0o755)
    (tmp_path / "src" / "net.py").write_text("")
    program = Program.model_validate({"command": "python src/train.py --lr {depth}", "config": "conf/c.yaml"})
    trial = {"scratch": str(tmp_path / "scratch")}
    directory, copy = configured(program, tmp_path, {"lr": 0.5, "depth": 2}, trial)
    assert copy == str(directory / "conf" / "c.yaml")
    assert (directory / "conf" / "c.yaml").read_text() == "lr: 0.5"
    assert (tmp_path / "conf" / "c.yaml").read_text() == "lr: 1"
    assert os.access(directory / "src" / "train.py", os.X_OK)
    assert (directory / "rows.csv").is_symlink()
    assert (directory / "conf" / "other.yaml").read_text() == "b: 1"
    assert [(directory / "src" / name).is_symlink() for name in ("train.py", "net.py")] == [False, False]
    with pytest.raises(ObjectiveRefused, match=r"c.yaml has no 'rl'; known: lr"):
        configured(program, tmp_path, {"rl": 1}, trial)


@pytest.mark.parametrize(
    ("objective", "space", "words"),
    [
        (
            {"command": "t {config}", "config": "c.yaml"},
            {"opt.rate": [1]},
            "c.yaml has no 'opt.rate'; did you mean",
        ),
        ({"command": "t {config}", "config": {"file": "c.yaml", "set": {"sed": 1}}}, {}, "no 'sed'; did you mean"),
        ({"command": "t {config}", "config": "d.yaml"}, {}, "d.yaml cannot be read (No such file"),
        ({"command": "t {config}", "config": "bad.json"}, {}, "bad.json is no JSON (Expecting"),
        ({"command": "t {config}"}, {}, "{config}; name the file: `config: config.yaml`, below objective"),
        ({"command": "t", "config": "../c.yaml"}, {}, "is not below the program's directory; put {config} into"),
        ({"command": "t {config}", "config": "c.yaml"}, {"config": [1]}, "a parameter is named 'config'"),
        ({"command": "t", "config": {"file": "c.yaml", "set": {"seed": "{sed}"}}}, {}, "placeholder {sed}"),
    ],
)
def test_a_study_whose_config_file_cannot_take_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: dict[str, Any], space: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("opt: {lr: 1}\nseed: 0\n")
    Path("bad.json").write_text("x")
    spec = study(objective, space)
    assert isinstance(spec.objective, Program)
    with pytest.raises((SpecRefused, SpaceRefused)) as caught:
        check_program(spec.objective, spec)
    assert words in str(caught.value.given["reason"])


def test_a_parameter_with_a_place_in_the_command_needs_none_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("opt: {lr: 1}\n")
    objective = {"command": "t --depth {net.depth} {config}", "config": "c.yaml"}
    spec = study(objective, {"net.depth": [1], "opt.lr": [1]})
    assert isinstance(spec.objective, Program)
    check_program(spec.objective, spec)
    assert spec.model_dump()["objective"] == {**objective, "config": {"file": "c.yaml"}}


def test_what_is_no_config_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"c.ini is no config file; expected one with .yaml, .yml, .json, .toml"):
        Program.model_validate({"command": "t", "config": "c.ini"})
    (tmp_path / "c.yaml").write_text("a: &a [*a]")
    with pytest.raises(WrongInput, match="is no YAML"):
        values_in(tmp_path / "c.yaml")
