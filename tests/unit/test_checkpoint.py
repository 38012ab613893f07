"""Checkpoints come back as they went, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studies.artifacts import DirectoryStore
from studies.run.checkpoint import Checkpoint, Checkpoints, decoded, encoded, read, write

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.one_of(st.text(), st.integers()), inner)
    ),
)


@given(trees)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_is_read(tmp_path: Path, tree: Any) -> None:
    write(tmp_path / "state", {"tree": tree})
    assert read(tmp_path / "state") == {"tree": tree}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_keep_their_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.arange(24).reshape(2, 3, 4).to(dtype)
    write(tmp_path / "state", {"tied": [tensor, tensor], "view": tensor.transpose(0, 2), 7: torch.get_rng_state()})
    back = read(tmp_path / "state")
    assert torch.equal(back["tied"][0], tensor)
    assert torch.equal(back["tied"][1], tensor)
    assert torch.equal(back["view"], tensor.transpose(0, 2))
    assert back["tied"][0].dtype == dtype
    assert torch.equal(back[7], torch.get_rng_state())


def test_an_optimizer_goes_on_from_one(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.grad = torch.ones(3)
    optimizer.step()
    write(tmp_path / "state", optimizer.state_dict())
    torch.optim.Adam([torch.nn.Parameter(torch.ones(3))]).load_state_dict(read(tmp_path / "state"))


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_never_read_as_whole(tmp_path: Path, length: int) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(DirectoryStore(tmp_path), said.append)
    checkpoints.save(3, Checkpoint({"weight": torch.ones(100)}, [{"loss": 1.0}]))
    path = tmp_path / "3.safetensors"
    os.truncate(path, length if length >= 0 else path.stat().st_size - 1)
    assert checkpoints.load(3) is None
    assert "cannot be used: it is not whole" in said[0]


CONTENT = encoded({"weights": torch.arange(40), 'a "sha256":"': "0" * 64})


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_one_changed_byte_is_noticed_wherever_it_is(place: int, change: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] ^= change
    with pytest.raises(ValueError, match="not whole"):
        decoded(bytes(changed))


@given(st.binary(max_size=200))
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not whole"):
        decoded(data)


def test_a_directory_that_cannot_be_written_is_said_and_survived(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    Checkpoints(DirectoryStore(tmp_path / "file" / "below"), said.append).save(3, Checkpoint({}, []))
    assert said[0].startswith("trial 3 goes on without a checkpoint")


def test_writing_is_skipped_when_it_would_take_too_long(tmp_path: Path) -> None:
    checkpoints = Checkpoints(DirectoryStore(tmp_path), print)
    checkpoints.save(1, Checkpoint({"n": 1}, []))
    checkpoints.save(1, Checkpoint({"n": 2}, []))  # at once: within the pause
    first = checkpoints.load(1)
    checkpoints.save(1, Checkpoint({"n": 3}, []), must=True)
    last = checkpoints.load(1)
    assert first is not None
    assert last is not None
    assert (first.state["n"], last.state["n"]) == (1, 3)


def test_another_kind_of_value_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not a set"):
        write(tmp_path / "state", {"bad": {1, 2}})
    assert not list(tmp_path.iterdir())


def test_a_tensor_lies_in_memory_as_it_did() -> None:
    """A fused optimizer reads a parameter and its moments in the order in which they lie."""
    image = torch.randn(4, 3, 5, 2).contiguous(memory_format=torch.channels_last)
    moved = {"image": image, "turned": torch.randn(3, 2).T, "plain": torch.randn(2, 2), "wide": torch.ones(1).expand(3)}
    found = decoded(encoded(moved))
    for name, tensor in moved.items():
        assert torch.equal(found[name], tensor)
    assert found["image"].stride() == image.stride()
    assert found["turned"].stride() == moved["turned"].stride()
