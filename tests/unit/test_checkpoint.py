"""Checkpoints come back as they went, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from studies.artifacts import DirectoryStore
from studies.run.checkpoint import Checkpoint, Checkpoints
from studies.run.encoding import decoded, encoded

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.one_of(st.text(), st.integers()), inner)
    ),
)


@given(trees)
def test_whatever_is_written_is_read(tree: Any) -> None:
    assert decoded(encoded({"tree": tree})) == {"tree": tree}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_keep_their_bits(dtype: torch.dtype) -> None:
    tensor = torch.arange(24).reshape(2, 3, 4).to(dtype)
    state: dict[Any, Any] = {"tied": [tensor, tensor], "view": tensor.transpose(0, 2), 7: torch.get_rng_state()}
    back: dict[Any, Any] = decoded(encoded(state))
    assert torch.equal(back["tied"][0], tensor)
    assert torch.equal(back["tied"][1], tensor)
    assert torch.equal(back["view"], tensor.transpose(0, 2))
    assert back["tied"][0].dtype == dtype
    assert torch.equal(back[7], torch.get_rng_state())


def test_an_optimizer_goes_on_from_one() -> None:
    def moved(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> torch.Tensor:
        parameter.grad = torch.ones(3)
        optimizer.step()
        return parameter.detach().clone()

    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    twin = torch.nn.Parameter(moved(optimizer, parameter))
    other = torch.optim.Adam([twin])
    other.load_state_dict(decoded(encoded(optimizer.state_dict())))
    assert torch.equal(moved(other, twin), moved(optimizer, parameter))


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
    checkpoints = Checkpoints(DirectoryStore(tmp_path / "file" / "below"), said.append)
    assert checkpoints.save(3, Checkpoint({}, [])) == "Not a directory"
    assert said[0].startswith("trial 3 goes on without a checkpoint")


def test_the_next_one_is_due_once_writing_takes_a_small_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("studies.run.checkpoint.time.monotonic", lambda: now)

    class Slow(DirectoryStore):
        def write(self, artifact_id: str, content_body: BinaryIO) -> None:
            nonlocal now
            now += 1.0
            super().write(artifact_id, content_body)

    checkpoints = Checkpoints(Slow(tmp_path), print)
    assert checkpoints.is_due()
    assert checkpoints.save(1, Checkpoint({}, [])) is None
    now += 8.9
    assert not checkpoints.is_due()
    now += 0.1
    assert checkpoints.is_due()


def test_another_kind_of_value_is_refused() -> None:
    with pytest.raises(TypeError, match="not a set"):
        encoded({"bad": {1, 2}})


def test_a_tensor_lies_in_memory_as_it_did() -> None:
    """A fused optimizer reads a parameter and its moments in the order in which they lie."""
    image = torch.randn(4, 3, 5, 2).contiguous(memory_format=torch.channels_last)
    moved = {"image": image, "turned": torch.randn(3, 2).T, "plain": torch.randn(2, 2), "wide": torch.ones(1).expand(3)}
    found = decoded(encoded(moved))
    for name, tensor in moved.items():
        assert torch.equal(found[name], tensor)
    assert found["image"].stride() == image.stride()
    assert found["turned"].stride() == moved["turned"].stride()
