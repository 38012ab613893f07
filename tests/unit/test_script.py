"""`studies init train.py`: what help texts of many kinds say, and what is searched for each option.

The texts in `help` are what the libraries print for one script in the style of each, at 200 columns.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from studies.errors import WrongInput
from studies.spec.space import Space
from studies.templates.script import hydra, is_script, study_file
from studies.templates.script.objective import Objective, objective_in, written
from studies.templates.script.ranges import searched
from studies.templates.script.source import Report, Source
from studies.templates.script.usage import Option, usage_of

HELP = Path(__file__).with_name("help")


def options_in(name: str) -> dict[str, Option]:
    return {option.flag: option for option in usage_of((HELP / f"{name}.txt").read_text()).options}


@pytest.mark.parametrize(
    ("name", "rate", "batch"),
    [
        ("absl_train", "--lr", "--batch_size"),
        ("argparse_defaults", "--learning_rate", "--per_device_train_batch_size"),
        ("click_train", "--lr", "--batch-size"),
        ("docopt_train", "--lr", "--batch-size"),
        ("fire_train", "--lr", "--batch_size"),
        ("hydra_train", "lr", "batch_size"),
        ("jsonargparse_train", "--lr", "--batch_size"),
        ("typer_train", "--lr", "--batch-size"),
        ("tyro_train", "--optim.lr", "--batch-size"),
    ],
)
def test_defaults_are_read_from_help_of_every_kind(name: str, rate: str, batch: str) -> None:
    options = options_in(name)
    n = 8 if name == "argparse_defaults" else 64
    assert options[rate].default == (5e-5 if name == "argparse_defaults" else 1e-3)
    assert options[batch].default == n
    assert searched(options[batch]) == {"choices": [n // 2, n, n * 2], "default": n}
    found = searched(options[rate])
    assert isinstance(found, dict)
    assert found["log"]
    for option in options.values():
        if (domain := searched(option)) is not None:
            assert Space.declared({option.name: domain})


@pytest.mark.parametrize(
    ("name", "flag", "expected"),
    [
        ("absl_train", "--augment", Option("--augment", "--noaugment", 0, True)),
        ("absl_train", "--optimizer", Option("--optimizer", default="adam", choices=("adam", "sgd"))),
        ("argparse_plain", "--augment", Option("--augment", "--no-augment", 0)),
        ("argparse_plain", "--weight-decay", Option("--weight-decay")),
        ("argparse_plain", "--hidden", Option("--hidden", takes=2)),
        ("argparse_plain", "--nesterov", Option("--nesterov", None, 0, False)),
        ("argparse_plain", "--workers", Option("--workers", default=4)),
        ("argparse_defaults", "--output_dir", Option("--output_dir", required=True)),
        ("click_train", "--shuffle", Option("--shuffle", "--no-shuffle", 0, True)),
        ("click_train", "--out", Option("--out", required=True)),
        ("click_train", "--optimizer", Option("--optimizer", choices=("adam", "sgd"))),
        ("fire_train", "--nesterov", Option("--nesterov", default="False")),
        ("hydra_train", "optimizer.weight_decay", Option("optimizer.weight_decay", default=1e-4)),
        ("jsonargparse_train", "--nesterov", Option("--nesterov", default="false", choices=("true", "false"))),
        ("jsonargparse_train", "--max_epochs", Option("--max_epochs", kind=int)),
        ("typer_train", "--shuffle", Option("--shuffle", "--no-shuffle", 0, True)),
        ("typer_train", "--optimizer", Option("--optimizer", default="adam", choices=("adam", "sgd"))),
        ("tyro_train", "--nesterov", Option("--nesterov", "--no-nesterov", 0, False)),
        ("tyro_train", "--optim.betas", Option("--optim.betas", takes=2, default=0.9, kind=float)),
    ],
)
def test_an_option_is_what_its_help_says(name: str, flag: str, expected: Option) -> None:
    assert options_in(name)[flag] == expected


def test_arguments_and_commands_are_found_and_help_itself_is_no_option() -> None:
    assert usage_of((HELP / "argparse_plain.txt").read_text()).arguments == ["data_dir"]
    assert usage_of((HELP / "click_train.txt").read_text()).arguments == ["DATA"]
    assert usage_of((HELP / "docopt_train.txt").read_text()).arguments == ["data"]
    assert usage_of((HELP / "click_group.txt").read_text()).commands == ["evaluate", "train"]
    assert usage_of((HELP / "typer_group.txt").read_text()).commands == ["train", "evaluate"]
    assert usage_of("usage: x [-h] {train,test} ...\n\noptions:\n  -h, --help\n").commands == ["train", "test"]
    for path in HELP.glob("*.txt"):
        assert not {"--help", "-h"} & {*options_in(path.stem)}


@pytest.mark.parametrize("text", ["", "no options here", "Traceback (most recent call last):\n  - x\nValueError: -1"])
def test_a_text_without_options_has_none(text: str) -> None:
    assert usage_of(text).options == []


def test_groups_of_a_config_are_choices_and_bring_options_along() -> None:
    asked: list[str] = []
    others = {"model=mlp": "hydra_groups_mlp.txt", "optimizer=sgd": "hydra_groups_sgd.txt"}

    def printed(override: str) -> str:
        asked.append(override)
        if override.startswith("scheduler"):  # is in no config until +scheduler=steps is given
            return "Could not override 'scheduler'. No match in the defaults list."
        return (HELP / others.get(override, "hydra_groups.txt")).read_text()

    options = hydra.options_of(printed(""), printed)
    space = {option.name: domain for option in options if (domain := searched(option)) is not None}
    assert space == {
        "model": {"choices": ["cnn", "mlp"], "default": "cnn"},
        "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
        "model_width": {"choices": [16, 32, 64, 128], "default": 32},
        "model_dropout": {"low": 0.0, "high": 0.5, "default": 0.1},
        "model_hidden": {"choices": [1, 2, 4], "default": 2, "when": {"model": ["mlp"]}},
        "optimizer_lr": {"low": 1e-4, "high": 1.0, "log": True, "default": 1e-3},
        "optimizer_weight_decay": {
            "low": 1e-5, "high": 1e-3, "log": True, "default": 1e-4, "when": {"optimizer": ["adam"]}
        },
        "optimizer_momentum": {"low": 0.8, "high": 0.98, "default": 0.9, "when": {"optimizer": ["sgd"]}},
        "batch_size": {"choices": [32, 64, 128], "default": 64},
    }  # fmt: skip
    Space.declared(space)
    assert not any(override.startswith("logger") for override in asked)


SOURCE = """
parser.add_argument("-b", "--batch-size", type=int, default=64)
parser.add_argument("--momentum", default=0.9, type=float)
parser.add_argument("--optimizer", default="adam", choices=["adam", "sgd"])
parser.add_argument("--data", default=os.environ["DATA"])
@click.option("--shuffle/--no-shuffle", default=True)
def main(): pass

@dataclass
class Arguments:
    learning_rate: float = 1e-3
    n_layers: int = field(default=2, metadata={"help": "how deep"})
"""


def test_the_source_tells_defaults_that_the_help_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(SOURCE)
    source = Source([file])
    assert source.completed(Option("--batch-size")) == Option("--batch-size", default=64, kind=int)
    assert source.completed(Option("--batch-size", default=32)).default == 32
    assert source.completed(Option("--optimizer")).choices == ("adam", "sgd")
    assert source.completed(Option("--data")) == Option("--data")
    assert source.completed(Option("--shuffle", "--no-shuffle", 0)).default is True
    assert source.completed(Option("--learning-rate")) == Option("--learning-rate", default=1e-3, kind=float)
    assert source.completed(Option("--n_layers")).default == 2


@pytest.mark.parametrize(
    ("code", "printed", "found"),
    [
        ('print(f"epoch {e}: loss {a} val_acc {b}")', "epoch 3: loss 1 val_acc 0.9", {"epoch": "3", "val_acc": "0.9"}),
        ('print("Epoch: %d, Val Acc: %.3f" % (e, a))', "Epoch: 3, Val Acc: 0.910", {"epoch": "3", "val_acc": "0.910"}),
        ('print("epoch", e, "val accuracy", a)', "epoch 3 val accuracy 1", {"epoch": "3", "val_accuracy": "1"}),
        ('print("[{}] loss={:.4f} valid f1={}".format(a, b, c))', "[1] loss=0.3 valid f1=0.8", {"valid_f1": "0.8"}),
        ('log.info(f"Ep {e}/{n} | val_loss: {v}")', "Ep 3/5 | val_loss: 2e-5", {"val_loss": "2e-5"}),
        ('print("Train Epoch: {} Loss: {:.6f}".format(e, a));'
         'print("Test set: Average loss: {:.4f}, Acc: {}".format(b, c))',
         "Test set: Average loss: 0.31, Acc: 9", {"test_average_loss": "0.31"}),
        ('print(f"loss {a}"); print(f"Test Error: \\n Accuracy: {b:.1f}%, Avg loss: {c:>8f}")',
         " Accuracy: 91.0%, Avg loss: 1", {"test_accuracy": "91.0"}),
        ('print(f"Epoch {e} train: loss {a} acc {b} | val: loss {c} acc {d}")',
         "Epoch 2 train: loss 1 acc .1 | val: loss 3 acc .2", {"epoch": "2", "val_loss": "3"}),
        ('print(f"Train Epoch {e}: loss {a}")', "Train Epoch 4: loss 1", {"epoch": "4", "train_loss": "1"}),
        ('print("Epoch", e, "Val loss:", v)', "Epoch 1 Val loss: tensor(0.75)", {"epoch": "1", "val_loss": "0.75"}),
        ('print({"epoch": e, "val_loss": v})', "{'epoch': 1, 'val_loss': np.float64(7.e-05)}",
         {"epoch": "1", "val_loss": "7.e-05"}),
        ('print(json.dumps({"epoch": e, "val_loss": v}))', '{"epoch": 1, "val_loss": .5}',
         {"epoch": "1", "val_loss": ".5"}),
        ('print("epoch " + str(e) + ", val_loss " + str(v))', "epoch 1, val_loss inf",
         {"epoch": "1", "val_loss": "inf"}),
        ('text = f"val_loss {v:,.2f}"; print(text)', "val_loss 1,234.50, that is", {"val_loss": "1,234.50"}),
        ('print(f"\\033[1mval_loss \\033[32m{v}\\033[0m")', "val_loss 0.5", {"val_loss": "0.5"}),
        ('c.print(f"[bold]Epoch {e}[/bold] train [dim]{t}[/] val_loss=[bold bright_red on white]{v:.3f}[/]")',
         "Epoch 3 train 1 val_loss=0.510", {"epoch": "3", "val_loss": "0.510"}),
        ('print(f"Accuracy: {p:.0f}%")', "Accuracy: 90%", {"accuracy": "90"}),
    ],
)  # fmt: skip
def test_what_a_script_prints_becomes_a_pattern(tmp_path: Path, code: str, printed: str, found: dict[str, Any]) -> None:
    (tmp_path / "train.py").write_text(code)
    report = Source([tmp_path / "train.py"]).report()
    assert report is not None
    matched = re.search(report.pattern or "", printed)
    assert matched is not None
    assert matched.groupdict() == found
    assert report.direction == ("minimize" if "loss" in report.metric else "maximize")


@pytest.mark.parametrize(
    ("code", "metric", "missing"),
    [
        ("import lightning as L\nself.log('train_loss', a)\nself.log('val_mse', b)\nL.Trainer().fit(model)", "val_mse",
         "Trainer(..., callbacks=[program_callbacks.lightning()])"),
        ("from lightning.pytorch.cli import LightningCLI\nLightningCLI(Net)\nprint('test accuracy', a)", "val_loss",
         "LightningCLI(..., trainer_defaults=dict(callbacks=[program_callbacks.lightning()]))"),
        ("from transformers import Seq2SeqTrainer\nSeq2SeqTrainer(model).train()", "eval_loss",
         "Seq2SeqTrainer(..., callbacks=[program_callbacks.transformers()]), and its arguments eval_strategy='epoch'"),
        ("from tensorflow import keras\nmodel.fit(x, y)", "val_loss",
         "fit(..., callbacks=[program_callbacks.keras()])"),
        ("import lightning\nfrom studies import program_callbacks\nself.log('val_acc', a)\nlightning.Trainer()",
         "val_acc", None),
    ],
)  # fmt: skip
def test_a_script_of_a_library_reports_by_its_callback(
    tmp_path: Path, code: str, metric: str, missing: str | None
) -> None:
    (tmp_path / "train.py").write_text(code)
    assert Source([tmp_path / "train.py"]).report() == Report(metric, missing=missing)


def test_a_script_that_repeats_nothing_prints_its_metric_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    once = "C = params.get('C', 1.0)\nscore = cross_val_score(SVC(C), x, y).mean()\nprint(f'accuracy {score}')\n"
    for code, line in (
        (once, "max_epochs: 1 "),
        (once.replace("print", "for _ in x:\n    print"), "max_epochs: 10  # CORRECT"),
    ):
        Path("fit.py").write_text(code)
        assert line in study_file("fit.py")[1]


CONFIG = "seed: 0\nopt: {lr: 1e-3, name: adam, nesterov: true}\ntrain: {epochs: 4, batch-size: 32, output_dir: x}\n"
LOADED = "import yaml\nc = yaml.safe_load(open({}))\nfor e in c:\n    print(f'epoch {{e}} val_loss {{e}}')\n"
PARSER = "import argparse\np = argparse.ArgumentParser()\np.add_argument('-c', '--config'{})\np.add_argument('--lr')\n"


@pytest.mark.parametrize(
    ("given", "code", "command"),
    [
        ("fit.py", LOADED.format("'conf.yaml'"), "python fit.py"),
        ("fit.py", "from pathlib import Path\nPath(__file__, '..', 'sub', 'conf.yaml')", "python fit.py"),
        ("fit.py", "open('./x/../sub/conf.yaml')", "python fit.py"),
        ("fit.py conf.yaml", LOADED.format("sys.argv[1]"), "python fit.py {config}"),
        ("fit.py", PARSER.format(", default='conf.yaml'") + "p.parse_args()",
         "python fit.py --config {config} --lr {lr}"),
        ("fit.py", PARSER.format(", required=True") + "p.parse_args()", "python fit.py --config {config} --lr {lr}"),
        ("fit.py -c conf.yaml", PARSER.format(", required=True") + "p.parse_args()",
         "python fit.py -c {config} --lr {lr}"),
        ("fit.py --config=conf.yaml", PARSER.format("") + "p.parse_args()",
         "python fit.py --config={config} --lr {lr}"),
    ],
)  # fmt: skip
def test_a_config_file_that_a_script_reads_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, code: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("sub/conf.yaml" if "sub" in code else "conf.yaml")
    file.parent.mkdir(exist_ok=True)
    file.write_text(CONFIG)
    Path("metrics.json").write_text('{"lr": 0.1}')  # that a script writes is none that it reads
    Path("fit.py").write_text(f"{code}\nopen('metrics.json', 'w')\n")
    written = yaml.safe_load(study_file(given)[1])
    assert written["objective"]["command"].replace("python3 ", "python ") == command
    placed = {"seed": "{seed}", "train.epochs": "{max_epochs}", "train.output_dir": "{checkpoints}"}
    assert written["objective"]["config"] == {"file": str(file), "set": placed}
    found = {name: domain for name, domain in written["space"].items() if name != "lr"}
    assert found == {
        "opt.lr": {"low": 1e-4, "high": 1e-2, "log": True, "default": 1e-3},
        "opt.nesterov": {"choices": [False, True], "default": True},
        "train.batch-size": {"choices": [16, 32, 64], "default": 32},
    }
    assert written["max_epochs"] == 4


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("fit.py", "json.load(open('vocab.json'))\nc = params.get('size', 1)"),
        ("fit.py", "yaml.safe_load(open('../conf.yaml'))\nc = params.get('size', 1)"),
        ("fit.py", f"yaml.safe_load(open({str(Path(__file__).with_name('conf.yaml'))!r}))\nc = params.get('size', 1)"),
        ("fit.py --vocab vocab.json", PARSER.format("") + "p.add_argument('--vocab')\np.parse_args()"),
        ("fit.py", PARSER.format("") + "p.add_argument('--vocab', default='vocab.json')\np.parse_args()"),
    ],
)
def test_data_is_no_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, code: str) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (Path("vocab.json"), Path("..", "conf.yaml")):
        file.write_text('{"size": 100, "rate": 3, "lr": 4}')
    Path("fit.py").write_text(code)
    assert "config" not in yaml.safe_load(study_file(given)[1])["objective"]


def test_an_option_that_a_config_file_has_too_gets_the_default_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As LightningCLI has it, and argparse with `set_defaults(**config)`: what is typed counts."""
    monkeypatch.chdir(tmp_path)
    Path("conf.yaml").write_text(CONFIG)
    Path("fit.py").write_text(
        f"{PARSER.format('')}p.add_argument('--opt.lr', type=float, default=0.5)\np.parse_args()\n"
    )
    written = yaml.safe_load(study_file("fit.py -c conf.yaml")[1])
    assert written["objective"]["command"].endswith("fit.py -c {config} --lr {lr} --opt.lr {opt_lr}")
    assert written["space"]["opt_lr"]["default"] == 1e-3
    assert "opt.lr" not in written["space"]


def test_values_of_a_config_that_can_be_typed_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf.yaml").write_text(CONFIG)
    Path("fit.py").write_text("c = OmegaConf.merge(OmegaConf.load('conf.yaml'), OmegaConf.from_cli())")
    objective = yaml.safe_load(study_file("fit.py")[1])["objective"]
    assert objective["command"].partition(" ")[2] == (
        "fit.py seed={seed} opt.lr={opt_lr} opt.nesterov={opt_nesterov} train.epochs={max_epochs} "
        "train.batch-size={train_batch_size} train.output_dir={checkpoints}"
    )
    assert "config" not in objective


def test_an_option_whose_short_flag_stands_in_the_usage_is_no_argument() -> None:
    usage = usage_of("usage: x [-h] -d DATA rows\n\noptions:\n  -d DATA, --data DATA\n")
    assert [(option.flag, option.required) for option in usage.options] == [("--data", True)]
    assert usage.arguments == ["rows"]


@pytest.mark.parametrize(
    ("code", "is_once"),
    [
        ("for e in x:\n    step(e)\nprint('val_acc', a)", True),
        ("def end():\n    print('val_acc', a)\nfor e in x:\n    step(e)\nend()", True),
        ("def inner():\n    print('val_acc', a)\ndef test():\n    inner()\nwhile a:\n    test()", False),
        ("class T:\n    def fit(self):\n        for e in x:\n            self.eval()\n    def eval(self):\n"
         "        print('val_acc', a)\nT().fit()", False),
        ("class T:\n    def fit(self):\n        for e in x:\n            step(e)\n        print('val_acc', a)\n"
         "T().fit()", True),
        ("class C(Callback):\n    def on_epoch_end(self):\n        print('val_acc', a)\nT(C()).fit()", False),
        ("def told():\n    print('val_acc', a)\nloader.each_epoch(told)", False),
        ("def main(_):\n    print('val_acc', a)\napp.run(main)", True),
        ("for e in x:\n    print('val_acc', a)\nprint('best epoch', e, 'val_acc', a)", False),
        ("for e in x:\n    step(e)\nprint('best epoch', e, 'val_acc', a)", True),
    ],
)  # fmt: skip
def test_what_is_printed_after_all_epochs_is_printed_once(tmp_path: Path, code: str, is_once: bool) -> None:
    (tmp_path / "train.py").write_text(code)
    report = Source([tmp_path / "train.py"]).report()
    assert report is not None
    assert report.is_once is is_once


def test_a_script_that_reports_at_its_end_keeps_its_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parser = PARSER.format("") + "p.add_argument('--epochs', type=int, default=20)\np.parse_args()\n"
    Path("fit.py").write_text(f"{parser}for _ in range(20):\n    pass\nprint('accuracy', 1)\n")
    text = study_file("fit.py")[1]
    assert yaml.safe_load(text)["max_epochs"] == 1
    assert "--epochs" not in yaml.safe_load(text)["objective"]["command"]
    assert "#   --epochs 20" in text


def test_a_command_line_of_lightning_leaves_what_is_its_own() -> None:
    options = options_in("lightning_cli_fit")
    assert {flag for flag, option in options.items() if searched(option) is not None} == {
        "--model.hidden", "--model.lr", "--model.dropout", "--data.batch_size",
    }  # fmt: skip
    assert options["--trainer.max_epochs"].default == 5
    assert not {"--lr_scheduler", "--lr_scheduler.help"} & options.keys()


def test_what_is_imported_in_any_case_and_takes_seconds_is_found(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import os, torch.nn as nn\nfrom lightning.pytorch import Trainer\nfrom . import sklearn\n"
        "if os.environ.get('SHOW'):\n    import torchvision\n"
    )
    assert Source([tmp_path / "train.py"]).slow_imports() == ["torch", "lightning"]


def test_what_a_script_takes_out_of_the_trials_parameters_is_searched(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(
        "from studies.program import params\nfrom studies import program\n"
        "rate = params.get('lr', 1e-3)\nnesterov = program.params.get('nesterov', True)\n"
        "data = {}.get('dropout', .1)\ndrop = program.params.get('dropout')\n"
    )
    options = Source([file]).read()
    assert {option.name: searched(option) for option in options} == {
        "lr": {"low": 1e-4, "high": 1e-2, "log": True, "default": 1e-3},
        "nesterov": {"choices": [False, True], "default": True},
        "dropout": {"low": 0.0, "high": 0.5},
    }


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (Option("--lr", default=0.3), {"low": 0.03, "high": 3.0, "log": True, "default": 0.3}),
        (Option("--learning-rate", kind=float), {"low": 1e-5, "high": 1e-1, "log": True}),
        (Option("--weight-decay", default=0.0), {"low": 1e-6, "high": 1e-2, "log": True}),
        (Option("-C", default=1.0), {"low": 0.1, "high": 10.0, "log": True, "default": 1.0}),
        (Option("--momentum", default=0.9), {"low": 0.8, "high": 0.98, "default": 0.9}),
        (Option("--dropRate", default=0.2), {"low": 0.0, "high": 0.5, "default": 0.2}),
        (Option("--n-layers", default=2), {"low": 1, "high": 4, "default": 2}),
        (Option("--hidden", default=100), {"choices": [50, 100, 200], "default": 100}),
        (Option("--temperature", default=1.5), {"low": 0.75, "high": 3.0, "default": 1.5}),
        (Option("--kernel", choices=("3", "5")), [3, 5]),
        (Option("--optim", default="adam", choices=("adam", *map(str, range(40)))), None),
        (Option("--lr_scheduler_kwargs"), None),
        (Option("--num-workers", default=4), None),
        (Option("--image-size", default=224), None),
        (Option("--eval-batch-size", default=8), None),
        (Option("--no-cuda", takes=0, default=False), None),
        (Option("--lr-scheduler"), None),
        (Option("lr_scheduler.step_size", default=50), {"choices": [25, 50, 100], "default": 50}),
        (Option("lr_scheduler.warmup", default=5), None),
        (Option("lr.value", default=0.1), {"low": 0.01, "high": 1.0, "log": True, "default": 0.1}),
        (Option("optim.decay", default=0.01), {"low": 1e-3, "high": 0.1, "log": True, "default": 0.01}),
        (Option("--no-accel", takes=0, default=False), None),
        (Option("--steps", default=4), None),
        (Option("--text", default="x"), None),
        (Option("--layers", default=[64, 32]), None),
        (Option("--lr", default=float("inf")), None),
        (Option("--adam", takes=0, excluded=True), None),
        (Option("-v", takes=0), None),
    ],
)
def test_what_looks_like_a_rate_a_share_or_a_size_gets_a_range(option: Option, expected: Any) -> None:
    assert searched(option) == expected
    if expected is not None:
        Space.declared({option.name: expected})


def test_of_options_that_forbid_each_other_none_is_searched() -> None:
    usage = (
        "usage: x [-h] [--adam | --sgd] [--deep | --no-deep] [--lr LR]\n\noptions:\n  -h, --help\n  --adam\n  --sgd\n"
    )
    found = usage_of(f"{usage}  --deep, --no-deep\n  --lr LR\n").options
    assert [option.flag for option in found if option.excluded] == ["--adam", "--sgd"]


def test_the_name_of_a_script_may_have_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\np.parse_args()\n"
    Path("my train.py").write_text(code)
    assert is_script("my train.py")
    name, text = study_file("my train.py")
    assert name == "my-train"
    assert yaml.safe_load(text)["objective"]["command"].partition(" ")[2] == "'my train.py' --lr {lr}"
    Path("pkg").mkdir()
    Path("pkg/fit.py").write_text(code)
    assert study_file("python -m pkg.fit")[0] == "fit"


def test_a_program_that_is_not_there_is_no_name() -> None:
    assert is_script("nothing-like-it train.R --lr 1")
    assert not is_script("a b")
    assert not is_script("x" * 300)
    assert not is_script("a\0")
    with pytest.raises(WrongInput, match=r"`nothing-like-it train.R --help` could not be started \(No such file"):
        study_file("nothing-like-it train.R")


def test_what_is_no_script_is_told_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine\n")
    with pytest.raises(WrongInput, match=r"mine.yaml is no script; .* study file, type `studies check ./mine"):
        study_file("mine.yaml")
    Path("fit.jl").write_text("")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WrongInput, match=r"`julia fit.jl --help` could not be started"):
        study_file("fit.jl")


def test_a_script_elsewhere_is_read_before_it_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without options would train at once."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "train.py").write_text("open('trained', 'w')\n")
    with pytest.raises(WrongInput, match="reads no options"):
        study_file("../train.py")
    assert not Path("trained").exists()


HELPED = """
from optuna import create_study
from there import imported

def define_model(trial):
    return trial.suggest_int("n", 1, 3)

def objective(trial, scale=2):
    return define_model(trial) * scale

class Tuned:
    def __call__(self, trial):
        return objective(trial)

tuned = Tuned()

def main():
    study = create_study(direction="maximize")
    study.enqueue_trial({"n": 2})
    study.optimize(GIVEN, n_trials=9)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("given", ["objective", "func=objective", "tuned", "imported"])
def test_what_a_script_gives_to_optuna_is_tuned_and_no_helper_of_it(tmp_path: Path, given: str) -> None:
    script = tmp_path / "tune.py"
    script.write_text(HELPED.replace("GIVEN", given))
    name = given.removeprefix("func=")
    assert objective_in(script) == Objective(name, False, directions=["maximize"], n_trials=9, start_with=[{"n": 2}])
    assert 'start_with:\n  - {"n": 2}\n' in written(
        "tune", Path("tune.py"), Objective(name, False, start_with=[{"n": 2}])
    )


def test_what_workers_cannot_import_is_named_with_what_to_write(tmp_path: Path) -> None:
    script = tmp_path / "tune.py"
    script.write_text(HELPED.replace("GIVEN", "lambda trial: objective(trial, 3)"))
    with pytest.raises(WrongInput, match=r"write `tuned = lambda trial: objective\(trial, 3\)` there"):
        objective_in(script)
    script.write_text(HELPED.replace("GIVEN", "elsewhere"))
    with pytest.raises(WrongInput, match=r"gives `elsewhere` to Optuna, .*; move it there"):
        objective_in(script)


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("place = config", False),
        ("from scipy.sparse import csr_array", False),
        ("fire.Fire(main)", True),
        ("HfArgumentParser(Arguments)", True),
        ("simple_parsing.parse(Arguments)", True),
        ("LightningCLI(Model)", True),
    ],
)
def test_only_a_script_that_may_read_options_is_asked_for_them(tmp_path: Path, code: str, reads: bool) -> None:
    """Any other would train."""
    file = tmp_path / "train.py"
    file.write_text(code)
    assert Source([file]).may_have_options is reads
