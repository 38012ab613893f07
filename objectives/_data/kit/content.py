"""What a file's first bytes say it is, for messages about a file of the wrong kind."""

from __future__ import annotations

from pathlib import Path

from objectives._contract import DataError
from objectives._data.kit.packed import DAMAGED, GZIP_MAGIC, ZIP_MAGIC, unpacked
from objectives._data.kit.recoded import UTF_16, UTF_32

N_FIRST = 512  # bytes that are enough to tell
IDX_MAGIC = b"\0\0\x08"  # of unsigned bytes; the number of dimensions follows
NPZ = "NumPy arrays (.npz)"
TAR = "a tar archive (unpack it first)"
UNMARKED = "text in UTF-16 or UTF-32 without the mark of it (save it as UTF-8)"
OFFICE = ("[Content_Types].xml", "_rels/", "docProps/", "xl/", "word/", "mimetype")
UNPACK = " (unpack it first)"
SAVE_AS = ' (a table in it: save it as "CSV UTF-8" there)'

MAGIC = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF-": "a PDF document",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"\x89HDF": "an HDF5 file",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0": f"an old Excel or Word file{SAVE_AS}",
    b"PK\x05\x06": "an empty zip archive",
    b"BZh": f"a bzip2 archive{UNPACK}",
    b"\xfd7zXZ": f"an xz archive{UNPACK}",
    b"7z\xbc\xaf": f"a 7z archive{UNPACK}",
    b"Rar!": f"a rar archive{UNPACK}",
    b"\x28\xb5\x2f\xfd": f"a zstd archive{UNPACK}",
    GZIP_MAGIC: "a gzip archive",
}


def foreign(first: bytes) -> str:
    """What a file that begins with these bytes is, such as "a PNG picture"; "" where it may be text."""
    if first.startswith(ZIP_MAGIC):
        return _zipped(first)
    for magic, name in MAGIC.items():
        if first.startswith(magic):
            return name
    if first.startswith(IDX_MAGIC) and len(first) > 3 and first[3] in (1, 2, 3, 4):
        return f"an IDX file of {first[3]} dimensions, as MNIST's"
    if first[8:12] == b"WEBP":
        return "a WebP picture"
    if first[4:8] == b"ftyp":
        return "a HEIC or AVIF picture, or a film"
    if first[257:262] == b"ustar":
        return TAR
    if first.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page, such as a failed download"
    if b"\0" in first[:N_FIRST] and not first.startswith((*UTF_16, *UTF_32)):
        return UNMARKED if _is_text(first[:N_FIRST]) else "binary data"
    return ""


def _zipped(first: bytes) -> str:
    """Several formats are zip archives; the first member's name, which begins at byte 30, tells which."""
    member = first[30 : 30 + int.from_bytes(first[26:28], "little")].decode("ascii", "replace")
    if member.endswith(".npy"):
        return NPZ
    if member.startswith(OFFICE):
        return f"an Office file, such as .xlsx{SAVE_AS}"
    return f"a zip archive{UNPACK}"


def _is_text(first: bytes) -> bool:
    """Whether bytes with zeros among them are text of two or four bytes a character, most of it of plain letters."""
    quarters = [first[place::4] for place in range(4)]
    zeros = "".join("0" if 4 * part.count(0) > 3 * len(part) else "1" if 0 in part else "x" for part in quarters)
    return zeros in ("x0x0", "0x0x", "x000", "000x")


def first_of(path: Path) -> bytes:
    """The first bytes of a file, unpacked if it is gzip or a zip archive of one; none where it cannot be read."""
    try:
        with path.open("rb") as raw:
            return unpacked(raw, path).read(N_FIRST)
    except (OSError, DataError, *DAMAGED):
        return b""
