"""Labelled picture files, in a tree of directories or in Parquet, read as a stream of (pixels, class, role).

The role is one of ROLES, or "" if nothing says. What cannot be used raises DataError with the file and the row.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from objectives._contract import DataError
from objectives._data.kit.arrow import PARQUET_MAGIC, parts_of
from objectives._data.kit.content import first_of
from objectives._data.kit.decode import SUFFIXES, Pixels, decoded, is_shown, looks_otherwise
from objectives._data.kit.disk import unreadable
from objectives._data.kit.lines import shown
from objectives._data.kit.packed import ADDED
from objectives._data.kit.sources import listed, role_in
from objectives._data.kit.split import ROLE_NAMES, ROLES

AS_SEEN = " as seen"
IMAGE_COLUMNS = ("jpeg", "png", "image", "img", "bytes")
CLASS_COLUMNS = ("label_name", "class", "category", "label", "labels", "fine_label")
LabelledPictures = Iterator[tuple[Pixels, str, str]]
Decode = Callable[..., Pixels]  # as `decoded`, with a mode and a side of its own


def read_parquet(files: Sequence[Path], notices: Counter[str], decode: Decode = decoded) -> LabelledPictures:
    """The pictures in parquet: a column of JPEG or PNG files, a column of classes, perhaps a column `split`.

    Of several files, the names may say the role, as on the Hugging Face hub: train-00000-of-00001.parquet.
    """
    for path in files:
        for pixels, label, role in _read_parquet(path, notices, decode):
            yield pixels, label, role or (role_in(path.name.lower()) if len(files) > 1 else "")


def _read_parquet(path: Path, notices: Counter[str], decode: Decode) -> LabelledPictures:
    import pyarrow.parquet  # slow to import, and only needed here
    from pyarrow.lib import ArrowException

    try:
        table = pyarrow.parquet.ParquetFile(path)
        names = table.schema_arrow.names
        image = _column(path, names, IMAGE_COLUMNS, "pictures")
        label = _column(path, names, CLASS_COLUMNS, "classes")
        wanted = [image, label, *(["split"] if "split" in names else [])]
        row = 0
        for batch in table.iter_batches(batch_size=1024, columns=wanted):
            for record in batch.to_pylist():
                row += 1
                yield _parquet_row(f"{path}, row {row}", record, image, label, notices, decode)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} is truncated or not a parquet file; get it again") from error


def read_directory(files: Sequence[Path], notices: Counter[str], decode: Decode = decoded) -> LabelledPictures:
    """The pictures of a tree: CLASS/NAME.png, or ROLE/CLASS/NAME.png with the roles train, val and test."""
    given = len({path.parents[1] for path in files}) > 1  # a single one, such as train, may be where the classes are
    for path in files:
        role = ROLE_NAMES.get(path.parents[1].name.lower(), "") if given else ""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise unreadable(path, error) from error
        yield decode(str(path), io.BytesIO(content), notices=notices), path.parent.name, role


def pictures_in(place: Path) -> Sequence[Path]:
    """The files of the pictures in a directory or a Parquet file, none if it holds something else. Raises DataError."""
    parts = parts_of(place)
    if parts and first_of(parts[0]).startswith(PARQUET_MAGIC):
        return parts if _holds_pictures(parts[0]) else ()
    any_shown = place.is_dir() and any(is_shown(path, place) for path in place.rglob("*"))
    return directory_files(place) if any_shown else ()


def _holds_pictures(path: Path) -> bool:
    import pyarrow.parquet
    from pyarrow import types
    from pyarrow.lib import ArrowException

    try:
        schema = pyarrow.parquet.read_schema(path)
    except ArrowException:  # reading will say
        return False
    kinds = [field.type for field in schema if field.name in IMAGE_COLUMNS]
    return any(types.is_struct(kind) or types.is_binary(kind) or types.is_large_binary(kind) for kind in kinds)


def directory_files(root: Path) -> list[Path]:
    """The picture files of a tree that read_directory reads, sorted.

    Raises DataError when there are none, and for pictures that are not where the others say that they should be.
    """
    loose, in_classes, deeper = (
        sorted(path for path in root.glob("/".join("*" * depth)) if is_shown(path, root)) for depth in (1, 2, 3)
    )
    strange = [path for path in deeper if path.parents[1].name.lower() not in ROLE_NAMES]
    if deeper and not strange:
        _require_train(root, deeper)
        found, misplaced, form = deeper, loose + in_classes, "ROLE/CLASS/NAME.png with the roles train, val and test"
    elif in_classes:
        found, misplaced, form = in_classes, loose + deeper, "CLASS/NAME.png"
    elif strange:
        raise DataError(
            f"{strange[0]} is in a directory {strange[0].parents[1].name!r} of classes; expected train, val or test, "
            f"or name {strange[0].parents[1]} if its directories are the classes"
        )
    else:
        raise _no_classes(root)
    if misplaced:
        first = listed([str(path.relative_to(root)) for path in misplaced])
        raise DataError(f"{root} has pictures elsewhere than in {form} ({first}); move or remove them")
    if found is in_classes and all(path.parent.name.lower() in ROLE_NAMES for path in found):
        raise DataError(f"{found[0]} has a role and no class; expected {found[0].parent / 'CLASS' / found[0].name}")
    _require_pictures({path.parent for path in found})
    return found


def _require_pictures(classes: set[Path]) -> None:
    """Raise DataError for a directory beside those of classes that has no picture: it would be a class less."""
    for place in sorted({one.parent for one in classes}):
        for one in sorted(place.iterdir()):
            if one.is_dir() and one not in classes and not one.name.startswith(".") and one.name not in ADDED:
                raise DataError(
                    f"{one} is beside the classes and holds no picture that is read; expected some ({SUFFIXES[0]}, "
                    f"{SUFFIXES[1]} and the like): add them, or remove the directory"
                )


def _no_classes(root: Path) -> DataError:
    deeper = next((path for path in sorted(root.glob("*/*/*/**/*")) if is_shown(path, root)), None)
    todo = "expected CLASS/NAME.png, or train/CLASS/NAME.png and test/..."
    if deeper is None:
        return DataError(f"{root} holds no pictures in directories; {todo}")
    above = deeper.parents[1]
    place = above.parent if above.name.lower() in ROLE_NAMES else above
    return DataError(f"{root} holds pictures too far below it, such as {deeper}; {todo}: name {place}")


def _require_train(root: Path, files: Sequence[Path]) -> None:
    roles = sorted({path.parents[1].name for path in files})
    if "train" not in (ROLE_NAMES[name.lower()] for name in roles):
        raise DataError(f"{root} has pictures in {' and '.join(roles)} alone; expected some in train, too")


def _column(path: Path, names: Sequence[str], known: Sequence[str], what: str) -> str:
    for name in known:
        if name in names:
            return name
    raise DataError(f"{path} has no column of {what}, only {', '.join(names)}; expected one of {', '.join(known)}")


def _content(cell: Any) -> Any:
    return cell.get("bytes") if isinstance(cell, dict) else cell  # as the Hugging Face hub stores a picture


def decoded_as_seen(path: Path) -> str:
    """The mark of a file with a picture that older programs decoded to other pixels; see kit.hashes."""
    if path.suffix.lower() != ".parquet":
        return AS_SEEN if looks_otherwise(path.read_bytes()) else ""
    import pyarrow.parquet
    from pyarrow.lib import ArrowException

    try:
        table = pyarrow.parquet.ParquetFile(path)
        image = _column(path, table.schema_arrow.names, IMAGE_COLUMNS, "pictures")
        for batch in table.iter_batches(batch_size=1024, columns=[image]):
            contents = map(_content, batch.column(0).to_pylist())
            if any(isinstance(content, bytes) and looks_otherwise(content) for content in contents):
                return AS_SEEN
    except (ArrowException, DataError):  # reading will say
        pass
    return ""


def _parquet_row(
    where: str, record: dict[str, Any], image: str, label: str, notices: Counter[str], decode: Decode
) -> tuple[Pixels, str, str]:
    content, role = _content(record[image]), record.get("split") or ""
    if not isinstance(content, bytes):
        raise DataError(f"{where}: {image!r} is {shown(content)}; expected the bytes of a JPEG or PNG file")
    if record[label] is None:
        raise DataError(f"{where}: {label!r} is missing; fill it in or remove the row")
    if role not in ("", *ROLE_NAMES):
        raise DataError(f"{where}: the split is {shown(role)}; expected one of {', '.join(ROLES)}")
    return decode(where, io.BytesIO(content), notices=notices), str(record[label]), ROLE_NAMES.get(role, "")
