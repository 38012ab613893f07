"""The forms of files with digits: CSV, .npz, and MNIST's own IDX."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress
from objectives._data.kit.decode import decoded
from objectives._data.kit.disk import unreadable
from objectives._data.kit.lines import RowError, TextLines, each, plain_name, plural, shown
from objectives._data.kit.npz import ONLY_0_AND_1, pairs_of, read_arrays
from objectives._data.kit.packed import GZIP_MAGIC
from objectives._data.kit.picture_files import read_directory, read_parquet
from objectives._data.kit.pixels import as_bytes, scaled
from objectives._data.kit.split import ROLES
from objectives._data.kit.tables import SEPARATORS, number_in, numbers, open_table, trimmed

FORMS = "a .csv or .parquet of 784 pixels and the digit a line, an .npz, or a directory of MNIST's four files"
N_DIGITS = 10
SIDE = 28
N_TRIED = 100  # lines that tell whether pixels are fractions
N_PIXELS = SIDE * SIDE
IDX_UNSIGNED_BYTES = 0x08
DIGIT = "digit"  # what messages call the column
DIGIT_NAMES = ("label", "digit", "class", "target", "labels", "y")  # what a header may call it
NO_PIXEL = ("", "unnamed:_0", "index", "id", "imageid", "image_id")  # what a header may call the rows' numbers
NUMBER = re.compile(r"\d+")
LabelledDigits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read_csv(path: Path, progress: Progress, notices: Counter[str], *, each: bool = True) -> LabelledDigits:
    """Pixels (n, 784) and digits (n,) of a table of 784 pixels and the digit a line.

    A header says where the digit is, and the order of the pixels where their names have numbers; without one the digit
    is last, or else first. each: whether there must be images of each digit, enough to split; else of two.
    """
    with open_table(path, expected=FORMS) as file:
        first, *others = list(islice(filter(str.strip, file), N_TRIED)) or [""]
    form = _form_of(first)
    if form.digit is None and (form.pixels or form.n == N_PIXELS):
        raise DataError(f"{path} has pixels and no column of digits; add one with a name such as {DIGIT_NAMES[0]}")
    if _are_fractions(form, others if form.header else [first, *others]):
        form = replace(form, largest=1)
    problem: DataError | None = None
    for place in (N_PIXELS + form.first, form.first) if form.digit is None else (form.digit,):
        found = Counter[str]()
        try:
            labelled = _read_table(path, replace(form, digit=place), progress, found, each)
        except DataError as error:
            problem = problem or error
        else:
            notices.update(found)
            return labelled
    raise problem or DataError(f"{path} is no table of pixels; expected {FORMS}")


@dataclass(frozen=True)
class _Form:
    """How a table of pixels is written: with a header or without, what separates columns, the digit's column.

    n: how many columns it has. first: the first one that is not the rows' numbers. pixels: their columns in order, if
    the header tells. largest: of the pixels, which are fractions if it is 1.
    """

    header: bool
    separator: str
    n: int
    digit: int | None = None
    first: int = 0
    pixels: tuple[int, ...] = ()
    largest: int = 255

    def columns(self, n: int | None = None) -> list[int]:
        """The columns of the pixels, of n columns in all (default: those of the first line)."""
        others = [place for place in range(self.first, n or self.n) if place != self.digit]
        return list(self.pixels or others)


def _form_of(first: str) -> _Form:
    """The form of a table by its first line; a header is known by a name for the digits, or by names alone."""
    separator = max(SEPARATORS, key=first.count)
    fields = list(map(plain_name, trimmed(first, N_PIXELS + 1, separator).split(separator)))
    place = next((fields.index(name) for name in DIGIT_NAMES if name in fields), None)
    numbered = int(len(fields) > N_PIXELS and fields[0] in NO_PIXEL)
    names = fields[numbered:]
    counted = names == [str(number) for number in range(len(names))]  # what pandas calls columns without names
    if not (place is not None or counted or not any(map(_is_number, names))):
        return _Form(False, separator, len(fields))
    pixels = _pixels_in(fields)
    others = [column for column, name in enumerate(fields) if column not in pixels and name not in NO_PIXEL]
    if pixels and place is None and len(others) == 1:
        place = others[0]
    return _Form(True, separator, len(fields), place, numbered, pixels)


def _pixels_in(header: Sequence[str]) -> tuple[int, ...]:
    """The columns of the pixels in the order of the numbers in their names, such as pixel0 or 1x1; none without."""
    alike: dict[str, list[int]] = {}
    for column, name in enumerate(header):
        alike.setdefault(NUMBER.sub("0", name), []).append(column)
    found = next((columns for columns in alike.values() if len(columns) == N_PIXELS), [])
    return tuple(sorted(found, key=lambda column: [int(number) for number in NUMBER.findall(header[column])]))


def _are_fractions(form: _Form, lines: Iterable[str]) -> bool:
    """Whether lines have numbers from 0 to 1, but for the digit, and fractions among them."""
    found = [_numbers_in(form, line) for line in lines if line.strip()]
    up_to_1 = all(np.count_nonzero((row >= 0) & (row <= 1)) >= len(row) - 1 for row in found)
    return up_to_1 and any(((row > 0) & (row < 1)).any() for row in found)


def _numbers_in(form: _Form, line: str) -> NDArray[np.float64]:
    """The numbers of a line, NaN for what is none."""
    fields = trimmed(line, form.n, form.separator).split(form.separator)
    columns = form.pixels or range(form.first, len(fields))
    wanted = (fields[column] for column in columns if column < len(fields))
    return np.array([number_in(field.strip().strip('"'), form.separator) for field in wanted])


def _is_number(text: str) -> bool:
    return text == "" or text.replace(".", "").lstrip("+-").isdecimal() or text in ("nan", "inf")


def _names(form: _Form, pixels: Sequence[int], n: int) -> list[str]:
    """The names of n columns for messages."""
    names = {column: f"pixel {number}" for number, column in enumerate(pixels)}
    return [DIGIT if column == form.digit else names.get(column, "number") for column in range(n)]


def _read_table(path: Path, form: _Form, progress: Progress, notices: Counter[str], each: bool) -> LabelledDigits:
    assert form.digit is not None
    n = form.n if form.pixels else N_PIXELS + 1 + form.first
    columns = form.columns(n)
    names = _names(form, columns, n)
    most = {DIGIT: N_DIGITS - 1} if form.largest == 1 else dict.fromkeys(names, 255) | {DIGIT: N_DIGITS - 1}
    used = [*columns, form.digit]
    parts: list[LabelledDigits] = []
    with open_table(path, expected=FORMS, notices=notices) as file:
        lines = iter(file)
        if form.header:
            next(filter(str.strip, lines))
        for values in numbers(lines, file, names, most, separator=form.separator, used=used):
            brightness, where = values[:, :-1], f"{path}, up to line {file.number},"
            part = scaled(brightness, 1, where) if form.largest == 1 else brightness.astype(np.uint8)
            parts.append((part, values[:, -1].astype(np.uint8)))
            progress(f"reading {path.name}", file.fraction)
    if not parts:
        raise DataError(f"{path} {'has a header and no rows' if form.header else 'is empty'}; expected {FORMS}")
    pixels, digits = map(np.concatenate, zip(*parts, strict=True))
    if each:
        require_each_digit(path, digits)
    elif digits.min() == digits.max():
        raise DataError(f"{path} has images of a {digits[0]} alone; expected two digits or more")
    return pixels if form.largest == 1 else as_bytes(pixels, str(path), notices), digits


def read_otherwise(path: Path) -> str:
    """The mark of a table that older programs read as other pixels; see kit.hashes.

    They read pixels of 0 and 1 as nearly black, and pixels in another order than their names say as they come.
    """
    try:
        with open_table(path) as file:
            first = next(lines := filter(str.strip, file), "")
            form = _form_of(first)
            mark = " by names" if list(form.pixels) != sorted(form.pixels) else ""
            for line in lines if form.header else chain([first], lines):
                row = _numbers_in(form, line)
                if np.count_nonzero((row == 0) | (row == 1)) < len(row) - 1 > 0:  # the digit may be another number
                    return mark
    except DataError:  # reading will say
        return ""
    return ONLY_0_AND_1 + mark


def has_digits(path: Path) -> bool:
    """Whether a table has a column of digits beside its pixels."""
    with open_table(path, expected=FORMS) as file:
        form = _form_of(file.first())
    return form.digit is not None or form.n > N_PIXELS + form.first


def require_each_digit(path: Path, digits: NDArray[np.uint8]) -> None:
    """Raise DataError if a digit has too few images to be split."""
    n_of_digit = np.bincount(digits, minlength=N_DIGITS)
    if n_of_digit.min() < len(ROLES):
        few = plural(int(n_of_digit.min()), "image")
        raise DataError(
            f"{path} has {few} of a {n_of_digit.argmin()}; expected {len(ROLES)} of each digit or more, to train, "
            "validate and test on"
        )


def read_npz(path: Path, notices: Counter[str]) -> dict[str, LabelledDigits]:
    """Pixels (n, 784) and digits (n,) of each role in an .npz such as Keras' mnist.npz; "" without roles."""
    pairs = pairs_of(path, read_arrays(path)).items()
    return {role: (_images(path, x, notices), _digits(path, y)) for role, (x, y) in pairs}


def read_pictures(files: Sequence[Path], notices: Counter[str]) -> dict[str, LabelledDigits]:
    """The images (n, 784) and digits (n,) of picture files, in directories of their digits or in Parquet, by role."""
    read = read_parquet if files[0].suffix.lower() == ".parquet" else read_directory
    found: dict[str, tuple[list[NDArray[np.uint8]], list[str]]] = {}
    for pixels, label, role in read(files, notices, partial(decoded, mode="L", side=SIDE)):
        images, labels = found.setdefault(role, ([], []))
        images.append(pixels.reshape(N_PIXELS))
        labels.append(label)
    return {role: (np.stack(images), _digits(files[0], np.array(labels))) for role, (images, labels) in found.items()}


def _images(path: Path, pictures: NDArray[Any], notices: Counter[str]) -> NDArray[np.uint8]:
    if pictures.ndim < 2 or math.prod(pictures.shape[1:]) != N_PIXELS:
        raise DataError(f"{path} has pictures {pictures.shape}; expected (n, {SIDE}, {SIDE}) or (n, {N_PIXELS})")
    return as_bytes(pictures, str(path), notices).reshape(len(pictures), N_PIXELS)


def _digits(path: Path, labels: NDArray[Any]) -> NDArray[np.uint8]:
    numbers_of = np.array([number_in(str(label), ",") for label in labels.tolist()])
    wrong = ~((numbers_of >= 0) & (numbers_of < N_DIGITS) & (numbers_of == np.floor(numbers_of)))
    if wrong.any():
        raise DataError(f"{path} has labels such as {shown(str(labels[wrong][0]))}; expected the digits 0 to 9")
    return numbers_of.astype(np.uint8)


def read_pixels(lines: TextLines) -> Iterator[NDArray[np.uint8] | RowError]:
    """Yield the pixels (784,) of each line of a file; a header is skipped, a digit after or before them left out.

    A line that cannot be used is an error with the line and the pixel. Raises DataError for an empty file.
    """
    rest = filter(str.strip, lines)
    first = next(rest, "")
    form = _form_of(first)
    known = form.digit

    def digit_in(line: str) -> int | None:
        """The digit's column. Without a header, a line with 0 in one corner and another number in the other tells."""
        nonlocal known
        if line.count(form.separator) != N_PIXELS + form.first:
            return None
        fields = line.strip().split(form.separator)
        first_is_0, last_is_0 = (number_in(fields[place], form.separator) == 0 for place in (form.first, -1))
        if known is None and first_is_0 != last_is_0:
            known = N_PIXELS + form.first if first_is_0 else form.first
        return N_PIXELS + form.first if known is None else known

    def pixels_of(line: str) -> NDArray[np.uint8]:
        line = trimmed(line, N_PIXELS + form.first, form.separator)
        own = form if form.pixels else replace(form, digit=digit_in(line))
        n = form.n if form.pixels else N_PIXELS + form.first + (own.digit is not None)
        columns = own.columns(n)
        names = _names(own, columns, n)
        most = {} if _are_fractions(own, [line]) else dict.fromkeys(names, 255)
        [values] = numbers(iter([line]), lines, names, most, ahead=1, separator=form.separator, used=columns)
        try:
            return as_bytes(values[0], f"{lines.path}, line {lines.number},")
        except DataError as error:
            raise RowError(str(error)) from error

    found = False
    for pixels in each(map(pixels_of, rest if form.header or not first else chain([first], rest))):
        found = True
        yield pixels
    if not found:
        raise DataError(f"{lines.path} is empty; expected {N_PIXELS} pixels a line")


def read_idx_images(path: Path) -> NDArray[np.uint8]:
    """The pixels (n, 784) in an IDX file of images. Raises DataError."""
    pixels = read_idx(path, 3)
    if pixels[0].size != N_PIXELS:
        raise DataError(f"{path} has images of {plural(pixels[0].size, 'pixel')}; expected {N_PIXELS}")
    return pixels.reshape(len(pixels), N_PIXELS)


def read_pair(images: Path, labels: Path, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels (n, 784) and digits (n,) of two of MNIST's own files. Raises DataError."""
    pixels, digits = read_idx_images(images), read_idx(labels, 1)
    if len(pixels) != len(digits):
        raise DataError(
            f"{labels} has {plural(len(digits), 'label')} for {plural(len(pixels), 'image')}; get both files again"
        )
    if digits.max() >= N_DIGITS:
        raise DataError(f"{labels}, label {digits.argmax() + 1}: {digits.max()} is not a digit; get the file again")
    progress(f"reading {images.name}", 1.0)
    return pixels, digits


def read_idx(path: Path, n_dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file, gzip or plain: zero, zero, type, number of dimensions, sizes (big-endian), bytes.

    The format is described at MNIST's own page (LeCun, Cortes and Burges). Raises DataError.
    """
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip data is truncated or damaged; get the file again") from error
    except OSError as error:
        raise unreadable(path, error) from error
    n_header = 4 + 4 * n_dimensions
    if content[:4] != bytes([0, 0, IDX_UNSIGNED_BYTES, n_dimensions]) or len(content) < n_header:
        raise DataError(f"{path} is not an IDX file of bytes in {n_dimensions} dimensions; get the file again")
    shape = np.frombuffer(content, ">u4", n_dimensions, offset=4).astype(np.int64)
    if len(content) - n_header != shape.prod() or not shape.all():
        raise DataError(f"{path} has {len(content) - n_header} bytes for {shape.tolist()}; get the file again")
    return np.frombuffer(content, np.uint8, offset=n_header).reshape(shape)
