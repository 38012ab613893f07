"""Pictures: every form gives the same arrays, roles are fair, and bad input is one sentence with no cache left."""

from __future__ import annotations

import io
import pickle
import shutil
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

from objectives import DataError
from objectives._data.kit.picture_files import decoded_as_seen
from objectives._data.kit.split import carve, content_key
from objectives._data.pictures import PictureSet, decoded, load_pictures, shapes
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


def test_classes_in_a_directory_that_is_called_like_a_role(tmp_path: Path) -> None:
    found = load(tree(tmp_path / "test"), tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (48, 6, 6)


def test_other_names_of_jpeg(tmp_path: Path) -> None:
    for path in tree(tmp_path / "tree").glob("*/*[13579].png"):
        Image.open(path).save(path.with_suffix(".jfif"), "JPEG")
        path.unlink()
    assert load(tmp_path / "tree", tmp_path).summary["rows"] == len(PIXELS)


def test_a_hub_parquet_and_its_split(tmp_path: Path) -> None:
    files = [{"bytes": png(pixels), "path": "x"} for pixels in PIXELS]
    split = ["train"] * 40 + ["val"] * 12 + ["test"] * 8
    found = load(parquet(tmp_path / "p.parquet", png=None, image=files, split=split), tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (40, 12, 8)


def test_a_class_that_a_split_of_ones_own_lacks_is_named(tmp_path: Path) -> None:
    """It was said to have too few pictures, and to need three."""
    for role in ("train", "val"):
        tree(tmp_path / "tree", prefix=role)
    shutil.rmtree(tmp_path / "tree" / "val" / "kind1")
    (tmp_path / "tree" / "train" / "kind2").rename(tmp_path / "tree" / "train" / "other")
    said = "'kind1' has none to validate on, 'kind2' has none to train on, 'other' has none to validate on; add some"
    refuses(tmp_path / "tree", tmp_path, f"{tmp_path / 'tree'} splits the pictures itself, and {said}")


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


def with_more(place: str, *, prefix: str = "", content: bytes = b"") -> Callable[[Path], Path]:
    """A tree with another file."""

    def make(directory: Path) -> Path:
        root = tree(directory / "tree", prefix=prefix)
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).write_bytes(content or png(PIXELS[0]))
        return root

    return make


def roles_without_classes(directory: Path) -> Path:
    for role in ("train", "test"):
        (directory / "tree" / role).mkdir(parents=True)
        (directory / "tree" / role / "a.png").write_bytes(png(PIXELS[0]))
    return directory / "tree"


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
        (strange_role, "or name {root}/holdout if its directories are the classes"),
        (lambda directory: tree(directory / "tree", prefix="test"), "has pictures in test alone"),
        (with_more("kind0/more/a.png"), "elsewhere than in CLASS/NAME.png (kind0/more/a.png); move or remove them"),
        (with_more("a.png"), "elsewhere than in CLASS/NAME.png (a.png)"),
        (with_more("train/a.png", prefix="train"), "elsewhere than in ROLE/CLASS/NAME.png"),
        (
            with_more("kind0/a.heic", content=b"\0\0\0\x18ftypheic"),
            "kind0/a.heic: not a picture that can be read (a HEIC",
        ),
        (with_more("kind0/a.svg", content=b"<svg/>"), "kind0/a.svg: not a picture that can be read"),
        (roles_without_classes, "a.png has a role and no class; expected {root}/test/CLASS/a.png"),
        (no_pictures, "no pictures"),
        (lambda directory: directory / "absent", "there is no data set or file"),
    ],
)
def test_bad_input(make: Callable[[Path], Path], part: str, tmp_path: Path) -> None:
    refuses(make(tmp_path), tmp_path, part.format(root=tmp_path / "tree"))


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
    model = Cnn({"widths": [16, 32], "dropout": 0.0}, 10)
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


# --- pictures as they are seen --------------------------------------------------------------------

GREY = np.linspace(0, 255, 32 * 32).round().astype(np.uint8).reshape(32, 32)
DARK = (GREY // 16).astype(np.uint8)  # nothing of it may become brighter than it is


def saved(image: Image.Image, form: str = "PNG", **more: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, form, **more)
    file.seek(0)
    return file


def with_alpha(grey: np.ndarray, alpha: np.ndarray, mode: str) -> Image.Image:
    image = Image.fromarray(grey).convert("RGB" if mode == "RGBA" else "L")
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def palette(grey: np.ndarray) -> Image.Image:
    image = Image.fromarray(grey, "P")
    image.putpalette([level for level in range(256) for _ in range(3)])
    return image


@pytest.mark.parametrize("grey", [GREY, DARK], ids=["whole", "dark"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_same_picture_of_any_depth_is_the_same(grey: np.ndarray, mode: str) -> None:
    deep = grey.astype(np.uint16) * 257
    ways = {
        "8 bits": saved(Image.fromarray(grey)),
        "in colour": saved(Image.fromarray(grey).convert("RGB")),
        "palette": saved(palette(grey)),
        "16-bit png": saved(Image.fromarray(deep)),
        "16-bit tiff": saved(Image.fromarray(deep), "TIFF"),
        "big-endian tiff": saved(Image.fromarray(deep.astype(">u2")), "TIFF"),
        "16-bit pgm": io.BytesIO(b"P5 32 32 65535\n" + deep.astype(">u2").tobytes()),
        "fractions": saved(Image.fromarray((grey / 255).astype(np.float32)), "TIFF"),
        "opaque": saved(with_alpha(grey, np.full_like(grey, 255), "RGBA")),
        "opaque grey": saved(with_alpha(grey, np.full_like(grey, 255), "LA")),
        "all transparent": saved(with_alpha(grey, np.zeros_like(grey), "RGBA")),
    }
    expected = np.stack([grey] * 3, axis=2) if mode == "RGB" else grey
    for way, file in ways.items():
        assert np.abs(decoded(way, file, mode).astype(int) - expected).max() <= (mode == "L"), way


INK = np.zeros((32, 32), dtype=bool)
INK[8:24, 14:18] = True


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("level", [0, 90, 254, 255])
def test_what_is_transparent_is_white_unless_nothing_could_be_seen(mode: str, level: int) -> None:
    image = with_alpha(np.full((32, 32), level, np.uint8), INK * 255, mode)
    found = decoded("ink", saved(image), "L")
    assert set(np.unique(found[INK])) == {level}
    assert set(np.unique(found[~INK])) == {0 if level == 255 else 255}


def test_transparency_of_other_kinds() -> None:
    grey = np.where(INK, 50, 200).astype(np.uint8)
    ways = {
        "palette": saved(palette(grey), transparency=200),
        "gif": saved(palette(grey), "GIF", transparency=200),
        "one grey": saved(Image.fromarray(grey), transparency=200),
        "one colour": saved(Image.fromarray(grey).convert("RGB"), transparency=(200, 200, 200)),
        "one deep grey": saved(Image.fromarray(grey.astype(np.uint16) * 257), transparency=200 * 257),
        "half": saved(with_alpha(np.where(INK, 50, 0).astype(np.uint8), np.where(INK, 255, 0), "LA"), "PNG"),
    }
    for way, file in ways.items():
        assert np.array_equal(decoded(way, file, "L"), np.where(INK, 50, 255)), way


def test_a_photograph_is_turned_as_its_camera_says() -> None:
    pixels = np.stack([np.where(INK, 0, 255)] * 3, axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    found = decoded("photograph", saved(Image.fromarray(pixels), "PNG", exif=exif))
    assert np.array_equal(found, np.rot90(pixels, -1))


@pytest.mark.parametrize(
    ("values", "form", "part"),
    [
        (np.full((9, 9), 3.5, np.float32), "TIFF", "brightness from 3.5 to 3.5; expected 0 to 1"),
        (np.full((9, 9), np.nan, np.float32), "TIFF", "brightness from nan"),
        (np.full((9, 9), 70_000, np.int32), "TIFF", "32 bits a pixel, and their range is unknown"),
    ],
)
def test_a_brightness_that_cannot_be_known_is_refused(values: np.ndarray, form: str, part: str) -> None:
    with pytest.raises(DataError, match=part):
        decoded("it", saved(Image.fromarray(values), form))


def test_only_what_was_decoded_otherwise_gets_another_fingerprint(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    plain = load(root, tmp_path)
    opaque = root / "kind0" / "00.png"
    opaque.write_bytes(saved(Image.fromarray(PIXELS[0])).getvalue())
    assert load(root, tmp_path).sha256 == plain.sha256
    assert decoded_as_seen(opaque) == ""
    for image in (with_alpha(GREY, INK * 255, "RGBA"), Image.fromarray(GREY.astype(np.uint16) * 257)):
        opaque.write_bytes(saved(image).getvalue())
        assert decoded_as_seen(opaque)
    path = parquet(tmp_path / "p.parquet")
    assert decoded_as_seen(path) == ""
    parquet(path, png=[opaque.read_bytes()] + [png(pixels) for pixels in PIXELS[1:]])
    assert decoded_as_seen(path)


def test_hidden_directories_and_files_are_no_classes(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    expected = load(root, tmp_path)
    for place in (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git"):
        (root / place).mkdir()
        (root / place / "a.png").write_bytes(png(PIXELS[0]))
    (root / "kind0" / "._00.png").write_bytes(b"a resource fork")
    found = load(root, tmp_path)
    assert found.classes == expected.classes
    assert found.sha256 == expected.sha256


def test_frames_that_are_not_used_are_counted(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    assert "pictures_of_several_frames" not in load(root, tmp_path).summary
    first, second = (Image.fromarray(pixels) for pixels in PIXELS[:2])
    first.save(root / "kind0" / "moving.gif", save_all=True, append_images=[second])
    assert load(root, tmp_path).summary["pictures_of_several_frames"] == 1


def test_one_class_and_all_that_are_too_small(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for name, pictures in {"a": PIXELS[:9], "b": PIXELS[9:18], "few": PIXELS[18:20], "same": [PIXELS[20]] * 5}.items():
        (root / name).mkdir(parents=True)
        for row, pixels in enumerate(pictures):
            (root / name / f"{row}.png").write_bytes(png(pixels))
    parts = ("2 of 4 classes", "'few' has 2 pictures, 2 of them", "'same' has 5 pictures, 1 of them different")
    refuses(root, tmp_path, *parts, f"{root}:drop_classes_below=3")
    found = load(f"{root}:drop_classes_below=3", tmp_path)
    assert found.classes == ["a", "b"]
    assert (found.summary["rows"], found.summary["classes_left_out"], found.summary["pictures_left_out"]) == (18, 2, 7)
    assert together(found) == {(pixels.tobytes(), "ab"[row // 9]) for row, pixels in enumerate(PIXELS[:18])}
    for name in ("b", "few", "same"):
        shutil.rmtree(root / name)
    refuses(root, tmp_path, "has only one class, 'a'; expected 2 or more to tell apart")


def test_npz_as_people_write_them(tmp_path: Path) -> None:
    roles = {"train": slice(0, 40), "val": slice(40, 50), "test": slice(50, 60)}
    arrays = {f"{role}_images": PIXELS[rows] for role, rows in roles.items()}
    arrays |= {f"{role}_labels": LABELS[rows, None] for role, rows in roles.items()}
    np.savez(tmp_path / "medical.npz", **arrays)
    found = load(tmp_path / "medical.npz", tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (40, 10, 10)
    assert np.array_equal(found.test.pixels, PIXELS[50:])
    expected = {(pixels, name[-1]) for pixels, name in EXPECTED}
    np.savez(tmp_path / "torch.npz", x=PIXELS.transpose(0, 3, 1, 2), y=LABELS.astype("S1"))
    assert together(load(tmp_path / "torch.npz", tmp_path)) == expected
    np.savez(tmp_path / "nan.npz", x=PIXELS, y=np.where(np.arange(len(LABELS)) == 1, np.nan, LABELS))
    refuses(tmp_path / "nan.npz", tmp_path, "nan.npz, row 2 of y is NaN; fill it in")
    np.savez(tmp_path / "grey.npz", X=PIXELS[..., 0] / 255, y=LABELS)
    grey = load(tmp_path / "grey.npz", tmp_path)
    assert together(grey) == {
        (np.stack([pixels[..., 0]] * 3, axis=2).tobytes(), str(label))
        for pixels, label in zip(PIXELS, LABELS, strict=True)
    }


def test_cifars_own_directory_and_archive_by_their_path(tmp_path: Path) -> None:
    place = batches(tmp_path / "somewhere" / "cifar-10-batches-py")
    expected = {(pixels, CIFAR_CLASSES[int(name[-1])]) for pixels, name in EXPECTED}
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(place, "cifar-10-batches-py")
    for path in (place, place.parent, tmp_path / "cifar-10-python.tar.gz"):
        assert together(load(path, tmp_path)) == expected
    (place / "data_batch_3").unlink()
    refuses(place, tmp_path, f"{place} has no data_batch_3; expected the six batches")


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04" + bytes(30), "a zip archive"), (png(PIXELS[0]), "a PNG picture"), (b"a\n", "not a known")],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "pictures.bin").write_bytes(content)
    refuses(tmp_path / "pictures.bin", tmp_path, f"pictures.bin is {kind}", "expected a directory, a .parquet")


# --- pictures as others pack them --------------------------------------------------------------------


def test_the_binary_version_of_cifar(tmp_path: Path) -> None:
    batches(tmp_path / "cifar-10-batches-py")
    python = load_pictures(str(tmp_path), tmp_path, tmp_path / "cache")
    for path in (tmp_path / "cifar-10-batches-py").glob("*_batch*"):
        batch = pickle.loads(path.read_bytes())
        rows = [bytes([label]) + pixels.tobytes() for label, pixels in zip(batch["labels"], batch["data"], strict=True)]
        (tmp_path / "binary").mkdir(exist_ok=True)
        (tmp_path / "binary" / f"{path.name}.bin").write_bytes(b"".join(rows))
    for place in (tmp_path / "binary", tmp_path / "binary" / "data_batch_2.bin"):
        binary = load_pictures(str(place), tmp_path, tmp_path / "cache")
        assert binary.classes == python.classes
        assert np.array_equal(binary.train.pixels, python.train.pixels)
        assert np.array_equal(binary.test.labels, python.test.labels)
    (tmp_path / "binary" / "test_batch.bin").write_bytes(b"\0" * 3072)
    expected = "test_batch.bin: not a batch of CIFAR-10's binary version"
    refused(lambda: load_pictures(str(tmp_path / "binary"), tmp_path, tmp_path / "new"), tmp_path / "new", expected)


def test_parquet_files_whose_names_say_the_role(tmp_path: Path) -> None:
    draw = np.random.RandomState(0)
    (tmp_path / "data").mkdir()
    for name, n in (("train-00000-of-00002", 20), ("train-00001-of-00002", 20), ("test-00000-of-00001", 10)):
        pictures = [{"bytes": png(draw.randint(0, 256, (32, 32, 3)).astype(np.uint8)), "path": None} for _ in range(n)]
        table = pa.table({"img": pictures, "labels": [row % 2 for row in range(n)]})
        pq.write_table(table, tmp_path / "data" / f"{name}.parquet")
    found = load_pictures(str(tmp_path / "data"), tmp_path, tmp_path / "cache")
    assert (len(found.train) + len(found.validation), len(found.test)) == (40, 10)
    (tmp_path / "data" / "test-00000-of-00001.parquet").rename(tmp_path / "data" / "dev-00000-of-00001.parquet")
    assert len(load_pictures(str(tmp_path / "data"), tmp_path, tmp_path / "cache").validation) == 10


def test_a_class_without_a_picture_that_is_read(tmp_path: Path) -> None:
    tree(tmp_path / "pictures")
    (tmp_path / "pictures" / "raw").mkdir()
    (tmp_path / "pictures" / "raw" / "0.dng").write_bytes(b"II*\0")
    place = tmp_path / "pictures"
    expected = "raw is beside the classes and holds no picture that is read"
    refused(lambda: load_pictures(str(place), tmp_path, tmp_path / "cache"), tmp_path / "cache", expected)


def test_pictures_too_far_below_are_named(tmp_path: Path) -> None:
    tree(tmp_path / "a" / "b" / "c" / "pictures")
    place = tmp_path / "a"
    expected = f"name {tmp_path / 'a' / 'b' / 'c' / 'pictures'}"
    refused(lambda: load_pictures(str(place), tmp_path, tmp_path / "cache"), tmp_path / "cache", expected)
