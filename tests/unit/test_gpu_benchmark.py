"""The instrument of `benchmarks/gpu.py`: results so far are there whatever a part does, and what has to be carried."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import gpu


def test_a_part_that_hangs_is_cut_and_what_it_measured_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tmp_path / "gpu.py"
    parts.write_text(
        "import sys, time\n"
        "part, rows = sys.argv[2:4]\n"
        'open(rows, \'a\').write(\'{"name": "A GPU | 1", "speed": 1234.5}\\n\')\n'
        "time.sleep(60 if part == 'studies' else 0)\n"
        "sys.exit(part == 'cifar')\n"
    )
    monkeypatch.setattr(gpu, "__file__", str(parts))
    monkeypatch.setattr(gpu, "PARTS", {"device": 60, "studies": 3, "cifar": 60, "workers": 60})
    given = argparse.Namespace(
        device="cpu", quick=True, cifar="cifar10-shapes", wheels=None, minutes=5, parts=list(gpu.PARTS)
    )
    gpu.run(tmp_path / "out", given)
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())["parts"]
    ends = {part: one["ended"] for part, one in found.items()}
    assert ends == {
        "device": "done",
        "studies": "stopped at its limit of 3 s",
        "cifar": "exited with 1; see cifar.log",
        "workers": "done",
    }
    assert all(one["rows"] == [{"name": "A GPU | 1", "speed": 1234.5}] for one in found.values())
    text = (tmp_path / "out" / "gpu.md").read_text()
    assert text.startswith("# On A GPU | 1\n")
    assert "| A GPU / 1 | 1,234 |" in text


def test_what_is_carried_is_all_but_torch_and_what_is_there() -> None:
    everything = gpu.needed(set())
    assert {"optuna", "sqlalchemy", "pydantic-core", "alembic", "nvidia-ml-py", "pytest"} <= everything
    assert not {"torch", "torchvision", "triton"} & everything
    assert "pydantic-core" not in gpu.needed({"pydantic"})
