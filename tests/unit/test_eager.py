"""Optimizers without torch's compiler: it stays unimported, every value is the same, and compiling still works."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TRAINING = """
import json, sys
import torch
from studies.run.launchers.eager import COMPILER, spare_the_compiler

def train(kind, **given):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    optimizer = kind(model.parameters(), lr=0.01, **given)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).square().mean().backward()
        assert torch.is_grad_enabled()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert torch.is_grad_enabled()
    return [value.tolist() for value in model.parameters()]

def all_of_them():
    optim = torch.optim
    return [train(optim.Adam, fused=True), train(optim.AdamW), train(optim.RMSprop), train(optim.Adagrad),
            train(optim.SGD, momentum=0.9, fused=True), train(optim.SGD, differentiable=False)]
"""


def run(code: str) -> list[object]:
    done = subprocess.run([sys.executable, "-c", TRAINING + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[object] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def usual() -> list[object]:
    return run("print(json.dumps(all_of_them()))")


def test_the_compiler_is_not_imported_and_the_values_are_the_same(usual: list[object]) -> None:
    spared = run("assert spare_the_compiler(torch)\nprint(json.dumps([all_of_them(), COMPILER in sys.modules]))")
    assert spared == [usual, False]


def test_a_compiler_that_somebody_imports_later_is_used(usual: list[object]) -> None:
    code = """
assert spare_the_compiler(torch)
train(torch.optim.Adam)
compiled = torch.compile(lambda x: x * 2, backend="eager")
assert compiled(torch.ones(1)).item() == 2
print(json.dumps([all_of_them(), COMPILER in sys.modules]))
"""
    assert run(code) == [usual, True]


def test_a_torch_that_is_otherwise_is_left_to_itself() -> None:
    code = """
class Optimizer:
    def step(self): ...
class Other:
    optim = type(sys)("optim")
Other.optim.Optimizer = Optimizer
print(json.dumps([spare_the_compiler(Other)]))
"""
    assert run(code) == [False]
