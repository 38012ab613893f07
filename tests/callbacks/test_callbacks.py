"""The callbacks with the real libraries, each in a script of its own: reports, and going on from a checkpoint.

Run by `make test-callbacks`, in an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from studies.run.program import ProgramEnded, ProgramObjective, ProgramTraining
from studies.spec import StudySpec
from studies.templates import sweep

LIGHTNING = """
import lightning, torch
from studies import program, program_callbacks

class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(program.seed)
        self.line = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.line(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.line(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)

x = torch.linspace(-1, 1, 32)[:, None]
rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x + 1), batch_size=8)
trainer = lightning.Trainer(
    max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    callbacks=[program_callbacks.lightning()],
)
trainer.fit(Line(), rows, rows, ckpt_path=program_callbacks.lightning_checkpoint())
"""

PYTORCH_LIGHTNING = LIGHTNING.replace(
    "import lightning, torch",
    "import sys, torch\nimport pytorch_lightning as lightning\nsys.modules['lightning'] = None  # is not installed",
)

TRANSFORMERS = """
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from studies import program, program_callbacks

torch.manual_seed(program.seed)
config = BertConfig(
    vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, num_labels=2,
    max_position_embeddings=8,
)
rows = [{"input_ids": [n % 16] * 4, "attention_mask": [1] * 4, "labels": n % 2} for n in range(32)]
arguments = TrainingArguments(
    output_dir=str(program.checkpoints), num_train_epochs=4, per_device_train_batch_size=8, learning_rate=1e-2,
    eval_strategy="epoch", save_strategy="epoch", save_total_limit=1, report_to=[], disable_tqdm=True, use_cpu=True,
    seed=program.seed,
)
trainer = Trainer(
    BertForSequenceClassification(config), arguments, train_dataset=rows, eval_dataset=rows,
    callbacks=[program_callbacks.transformers()],
)
trainer.train(resume_from_checkpoint=get_last_checkpoint(str(program.checkpoints)))
"""

KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy
from studies import program, program_callbacks

keras.utils.set_random_seed(program.seed)
x = numpy.linspace(-1, 1, 32)[:, None]
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse")
backup = keras.callbacks.BackupAndRestore(str(program.checkpoints / "backup"))
model.fit(
    x, 3 * x + 1, validation_data=(x, 3 * x + 1), epochs=4, batch_size=8, verbose=0, shuffle=False,
    callbacks=[backup, program_callbacks.keras()],
)
"""

WANDB = """
import argparse
import wandb
from studies import program_callbacks

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1.0)
parser.add_argument("--epochs", type=int, default=3)
given, _ = parser.parse_known_args()
program_callbacks.wandb()
run = wandb.init(mode="MODE", project="tests", config=vars(given) | {"optimizer": {"name": "sgd", "momentum": 0.9}})
weight = run.config.lr
for epoch in range(wandb.config.epochs):
    for batch in range(3):
        wandb.log({"train/loss": weight})
    weight *= run.config.optimizer["momentum"]
    run.log({"val/loss": weight, "picture": "no number"})
run.finish()
"""


def started(directory: Path, metric: str, number: int) -> ProgramTraining:
    spec = StudySpec.model_validate(
        {
            "name": "mine", "objective": {"command": ["{python}", str(directory / "train.py")]}, "metric": metric,
            "direction": "minimize", "n_trials": 1, "max_epochs": 4,
            "resources": {"gpus_per_worker": 0, "grace_s": 60},
        }
    )  # fmt: skip
    return ProgramObjective(spec, directory).start({}, None, seed=3, device="cpu", number=number)


def values(training: ProgramTraining, metric: str, n: int) -> list[float]:
    """The metric of the next n epochs, or of those that there are."""
    found = []
    try:
        for _ in range(n):
            found.append(training.epoch()[metric])
    except ProgramEnded:
        pass
    return found


@pytest.mark.parametrize(
    ("script", "metric"),
    [(LIGHTNING, "val_loss"), (PYTORCH_LIGHTNING, "val_loss"), (TRANSFORMERS, "eval_loss"), (KERAS, "val_loss")],
    ids=["lightning", "pytorch_lightning", "transformers", "keras"],
)
def test_each_epoch_is_reported_and_a_trial_goes_on_from_its_checkpoint(
    tmp_path: Path, script: str, metric: str
) -> None:
    (tmp_path / "train.py").write_text(script)
    whole = started(tmp_path, metric, 0)
    try:
        expected = values(whole, metric, 4)
    finally:
        whole.close()
    assert len(expected) == 4, (tmp_path / "trial-0.log").read_text()
    assert expected[-1] < expected[0]

    first, again = started(tmp_path, metric, 1), started(tmp_path, metric, 2)
    try:
        assert values(first, metric, 2) == pytest.approx(expected[:2], rel=1e-5)
        again.load_state_dict(first.state_dict())
        assert again.n_kept == 2, again.note
        assert values(again, metric, 2) == pytest.approx(expected[2:], rel=1e-5)
    finally:
        first.close()
        again.close()


@pytest.mark.parametrize("script", [LIGHTNING, TRANSFORMERS, KERAS], ids=["lightning", "transformers", "keras"])
def test_outside_a_study_a_callback_does_nothing(tmp_path: Path, script: str) -> None:
    (tmp_path / "train.py").write_text(script)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STUDIES_")}
    run = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("mode", ["disabled", "offline"])
def test_what_a_sweep_logs_is_reported_and_its_config_is_the_trial(tmp_path: Path, mode: str) -> None:
    (tmp_path / "train.py").write_text(WANDB.replace("MODE", mode))
    (tmp_path / "sweep.yaml").write_text(
        "{program: train.py, method: random, metric: {name: val/loss}, parameters: {epochs: {value: 4}, "
        "lr: {min: 1.0, max: 4.0}, optimizer: {parameters: {momentum: {values: [0.5, 0.25]}}}}}"
    )
    content = yaml.safe_load(sweep.study_file(str(tmp_path / "sweep.yaml"))[1])
    content["objective"] |= {"command": f"{sys.executable} train.py {{params}}", "directory": str(tmp_path)}
    spec = StudySpec.model_validate(content)
    params = {"epochs": 4, "lr": 2.0, "optimizer.momentum": 0.5}
    training = ProgramObjective(spec, tmp_path).start(params, None, seed=3, device="cpu")
    try:
        assert values(training, "val/loss", 4) == [1.0, 0.5, 0.25, 0.125], (tmp_path / "trial-0.log").read_text()
    finally:
        training.close()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STUDIES_")}
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, env=environment, check=True, timeout=300)
