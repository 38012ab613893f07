"""What a user adds by dotted path, with the real command: a sampler, a pruner and an exporter of their own."""

from __future__ import annotations

import yaml

from .conftest import STUDY, Studies
from .test_bad_input import sentence

OWN = """
import optuna

class Nearby(optuna.samplers.RandomSampler):
    def __init__(self, seed, at):
        super().__init__(seed=seed)
        self.at = at

    def sample_independent(self, study, trial, name, distribution):
        return self.at + trial.number / 100

def nearby(settings, space, seed, *, at=0.0):
    assert list(space.parameters) == ["x", "mood", "seconds"]
    return Nearby(seed, at)

class Second(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.number > 0 and (trial.last_step or 0) >= 2

class Numbers:
    def render(self, report):
        return "".join(f"{trial.number} {trial.state} {trial.params['x']}\\n" for trial in report.trials)
"""


def test_a_users_own_sampler_pruner_and_exporter(studies: Studies) -> None:
    (studies.directory / "own.py").write_text(OWN)
    study = yaml.safe_load(STUDY) | {
        "n_trials": 3,
        "sampler": {"name": "own:nearby", "options": {"at": 1.5}},
        "pruner": {"name": "own:Second"},
    }
    (studies.directory / "parabola.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    studies("launch", "parabola.yaml")
    numbers = studies.told("export", "parabola", "--format", "own:Numbers").stdout
    assert numbers == "0 complete 0.0\n1 pruned 1.51\n2 pruned 1.52\n"
    assert "is for --format csv and parquet" in sentence(
        studies, "export", "parabola", "--format", "own:Numbers", "--curves"
    )
    said = sentence(studies, "launch", "parabola.yaml", "--set", "sampler.options={ad: 1}")
    assert "--set sampler.options={ad: 1}: sampler 'own:nearby' has no option 'ad'; known: at" in said
