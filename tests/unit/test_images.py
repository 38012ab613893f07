"""Pictures: every form gives the same arrays, roles are fair, and bad input is one sentence with no cache left."""

from __future__ import annotations

import pickle
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from objectives._data.kit.split import carve, content_key
from objectives._data.pictures import PictureSet, load_pictures, shapes
from objectives._data.pictures.readers import CIFAR_BATCHES, CIFAR_CLASSES
from objectives.cifar10_cnn import Cnn, OneCycle, cropped, flipped

from ..data_files import png, refused

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


def load(dataset: str | Path, directory: Path) -> PictureSet:
    return load_pictures(str(dataset), directory / "data", directory / "cache")


def refuses(dataset: str | Path, directory: Path, *parts: str) -> None:
    refused(lambda: load(dataset, directory), directory / "cache", *parts)


def tree(root: Path, *, prefix: str = "") -> Path:
    for row, (pixels, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        place = root / prefix / f"kind{label}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{row:02}.png").write_bytes(png(pixels))
    return root


def parquet(path: Path, **columns: Any) -> Path:
    table = {"png": [png(pixels) for pixels in PIXELS], "label_name": [f"kind{label}" for label in LABELS]} | columns
    pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), path)
    return path


def batches(place: Path) -> Path:
    place.mkdir(parents=True)
    for number, name in enumerate(CIFAR_BATCHES):
        rows = slice(number * 10, number * 10 + 10)
        data = PIXELS[rows].transpose(0, 3, 1, 2).reshape(10, -1)
        batch = {"data": data, "labels": (LABELS[rows]).tolist(), "batch_label": name}
        (place / name).write_bytes(pickle.dumps(batch, protocol=2))
    return place


def together(images: PictureSet) -> set[tuple[bytes, str]]:
    return {
        (pixels.tobytes(), images.classes[label])
        for rows in (images.train, images.validation, images.test)
        for pixels, label in zip(rows.pixels, rows.labels, strict=True)
    }


EXPECTED = {(pixels.tobytes(), f"kind{label}") for pixels, label in zip(PIXELS, LABELS, strict=True)}


def test_a_tree_and_a_parquet_give_the_pictures(tmp_path: Path) -> None:
    found = load(tree(tmp_path / "tree"), tmp_path)
    assert together(found) == EXPECTED
    assert together(load(parquet(tmp_path / "p.parquet"), tmp_path)) == EXPECTED
    assert (len(found.train), len(found.validation), len(found.test)) == (48, 6, 6)
    for rows in (found.validation, found.test):
        assert np.bincount(rows.labels).tolist() == [2, 2, 2]


def test_a_tree_with_roles_keeps_them(tmp_path: Path) -> None:
    tree(tmp_path / "tree", prefix="train")
    tree(tmp_path / "tree", prefix="test")
    found = load(tmp_path / "tree", tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (54, 6, 60)
    assert found.summary["scored_pictures_also_in_train"] == 54


def test_a_hub_parquet_and_its_split(tmp_path: Path) -> None:
    files = [{"bytes": png(pixels), "path": "x"} for pixels in PIXELS]
    split = ["train"] * 40 + ["val"] * 12 + ["test"] * 8
    found = load(parquet(tmp_path / "p.parquet", png=None, image=files, split=split), tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (40, 12, 8)


def test_cifar_unpacked_and_as_an_archive(tmp_path: Path) -> None:
    place = batches(tmp_path / "data" / "cifar10" / "cifar-10-batches-py")
    unpacked = load("cifar10", tmp_path)
    expected = {(pixels, CIFAR_CLASSES[int(name[-1])]) for pixels, name in EXPECTED}
    assert unpacked.classes == sorted(CIFAR_CLASSES[:3])
    assert together(unpacked) == expected
    assert len(unpacked.test) == 10
    with tarfile.open(place.parent / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(place, "cifar-10-batches-py")
    (place / "test_batch").unlink()
    assert together(load("cifar10", tmp_path)) == expected


def test_npz_in_the_original_order(tmp_path: Path) -> None:
    index = np.arange(60) + 49_950
    np.savez(tmp_path / "a.npz", x=PIXELS, y=LABELS, global_index=index)
    found = load(tmp_path / "a.npz", tmp_path)
    assert len(found.test) == 10
    assert found.classes == ["0", "1", "2"]


def test_arrays_are_mapped_and_torch_takes_them_without_a_word(tmp_path: Path) -> None:
    found = load(tree(tmp_path / "tree"), tmp_path)
    assert isinstance(found.train.pixels, np.memmap)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.from_numpy(found.train.pixels)


def test_other_sizes_and_colours_are_fitted(tmp_path: Path) -> None:
    for kind, (size, mode) in enumerate([((64, 40), "RGB"), ((9, 20), "L"), ((32, 32), "RGBA")]):
        place = tmp_path / "tree" / str(kind)
        place.mkdir(parents=True)
        for row in range(4):
            Image.new(mode, size, row * 9 + kind).save(place / f"{row}.png")
    assert load(tmp_path / "tree", tmp_path).train.pixels.shape[1:] == (32, 32, 3)


def test_shapes_are_the_same_everywhere_and_balanced() -> None:
    pictures, labels = shapes.draw(3, stream=5)
    again, _ = shapes.draw(3, stream=5)
    assert np.array_equal(pictures, again)
    assert np.bincount(labels).tolist() == [3] * 10
    assert not np.array_equal(pictures, shapes.draw(3, stream=6)[0])


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"png": [b"no picture"] * 60}, ("row 1", "not a picture")),
        ({"png": [png(PIXELS[0])] * 7 + [png(PIXELS[0])[:40]] * 53}, ("row 8", "not a picture")),
        ({"png": None, "pixel": [b""] * 60}, ("no column of pictures", "label_name")),
        ({"label_name": None}, ("no column of classes",)),
        ({"label_name": [None] * 60}, ("row 1", "missing")),
        ({"split": ["holdout"] * 60}, ("row 1", "'holdout'")),
    ],
)
def test_bad_parquet(columns: dict[str, Any], parts: tuple[str, ...], tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", **columns)
    refuses(path, tmp_path, str(path), *parts)


def damage_parquet(directory: Path) -> Path:
    path = parquet(directory / "p.parquet")
    path.write_bytes(path.read_bytes()[:-500])
    return path


def damage_npz(directory: Path) -> Path:
    np.savez(directory / "a.npz", x=PIXELS, y=LABELS)
    path = directory / "a.npz"
    path.write_bytes(path.read_bytes()[:5000])
    return path


def short_labels(directory: Path) -> Path:
    np.savez(directory / "a.npz", x=PIXELS, y=LABELS[:9])
    return directory / "a.npz"


def without_y(directory: Path) -> Path:
    np.savez(directory / "a.npz", x=PIXELS)
    return directory / "a.npz"


def corrupt_file(directory: Path) -> Path:
    root = tree(directory / "tree")
    (root / "kind1" / "04.png").write_bytes(png(PIXELS[0])[:70])
    return root


def one_alone(directory: Path) -> Path:
    root = tree(directory / "tree")
    (root / "rare").mkdir()
    (root / "rare" / "a.png").write_bytes(png(PIXELS[0] // 2))
    return root


def strange_role(directory: Path) -> Path:
    return tree(directory / "tree", prefix="holdout")


def no_pictures(directory: Path) -> Path:
    (directory / "empty").mkdir()
    return directory / "empty"


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (damage_parquet, "truncated"),
        (damage_npz, "truncated"),
        (short_labels, "(9,)"),
        (without_y, "no array 'y'"),
        (corrupt_file, "04.png"),
        (one_alone, "'rare'"),
        (strange_role, "'holdout'"),
        (no_pictures, "no pictures"),
        (lambda directory: directory / "absent", "there is no data set or file"),
    ],
)
def test_bad_input(make: Callable[[Path], Path], part: str, tmp_path: Path) -> None:
    refuses(make(tmp_path), tmp_path, part)


def test_cifar_missing_truncated_or_foreign(tmp_path: Path) -> None:
    place = tmp_path / "data" / "cifar10"
    refuses("cifar10", tmp_path, "cifar-10-python.tar.gz", str(place))
    batches(place / "cifar-10-batches-py")
    with tarfile.open(place / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(place / "cifar-10-batches-py", "cifar-10-batches-py")
    (place / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({"data": Path("/"), "labels": []}))
    refuses("cifar10", tmp_path, "test_batch", "pathlib")
    (place / "cifar-10-batches-py" / "test_batch").unlink()
    whole = (place / "cifar-10-python.tar.gz").read_bytes()
    for size in (5, 500, len(whole) // 2):
        (place / "cifar-10-python.tar.gz").write_bytes(whole[:size])
        refuses("cifar10", tmp_path, "cifar-10-python.tar.gz", "get it again")


@given(st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 3)), min_size=1, max_size=60), st.floats(0.05, 0.5))
def test_carving_is_fair_and_blind_to_order(rows: list[tuple[bytes, int]], share: float) -> None:
    keys = np.array([content_key(content) for content, _ in rows], dtype=np.uint64)
    strata = np.array([stratum for _, stratum in rows])
    held = carve(keys, strata, share)
    assert not set(keys[held]) & set(keys[~held])
    assert np.array_equal(carve(keys[::-1], strata[::-1], share)[::-1], held)
    lowest = {key: int(strata[keys == key].min()) for key in keys}
    for stratum in set(lowest.values()):
        of_stratum = [key for key in lowest if lowest[key] == stratum]
        n_held = len(set(of_stratum) & set(keys[held]))
        assert n_held == (max(1, int(share * len(of_stratum) + 0.5)) if len(of_stratum) > 1 else 0)


def test_augmentation_moves_whole_pictures() -> None:
    torch.manual_seed(0)
    pixels = torch.from_numpy(PIXELS.copy())
    turned = flipped(pixels)
    kept, mirrored = (turned == pixels).flatten(1).all(1), (turned == pixels.flip(2)).flatten(1).all(1)
    assert (kept | mirrored).all()
    assert 15 < kept.sum() < 45
    for before, after in zip(pixels, cropped(pixels), strict=True):
        padded = torch.nn.functional.pad(before, (0, 0, 4, 4, 4, 4), value=128)
        windows = [padded[down : down + 32, right : right + 32] for down in range(9) for right in range(9)]
        assert any(torch.equal(window, after) for window in windows)


def test_maximum_before_relu_is_the_published_network() -> None:
    torch.manual_seed(0)
    model = Cnn([16, 32], 0.0, 10)
    assert sum(weights.numel() for weights in model.parameters()) == 33_866
    first, norm, pool, _, *rest = model.blocks
    second, norm2, *_ = rest
    torch.nn.init.normal_(norm.weight)  # some negative: the order of normalisation and maximum must stay
    pixels = torch.from_numpy(PIXELS.copy())
    value = pixels.permute(0, 3, 1, 2) / 127.5 - 1
    value = pool(norm(first(value)).relu())
    value = pool(norm2(second(value)).relu())
    torch.testing.assert_close(model(pixels), model.head(value.flatten(1)), rtol=1e-4, atol=1e-4)


@given(st.integers(1, 60))
def test_one_cycle_is_torchs(n_steps: int) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.zeros(1)
    theirs, ours = (torch.optim.SGD([weight], lr=1.0) for _ in range(2))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        theirs, 0.1, n_steps, div_factor=25, final_div_factor=4000, cycle_momentum=False
    )
    cycle = OneCycle(ours, 0.1, n_steps)
    for step in range(n_steps):
        cycle.step()
        theirs.step()
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        if step + 1 < n_steps:
            schedule.step()
    cycle.step()  # past its end
    assert ours.param_groups[0]["lr"] == pytest.approx(0.1 * 1e-5)
