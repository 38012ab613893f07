"""Handwritten digits, one of which is the target: MNIST, the sample of it that ships, or a user's own file.

sources  names, licences, files and targets    data     what an objective gets
readers  CSV and MNIST's own files             prepare  load_digits
split    the role of each image

To add a data set: a name in sources.DATASETS and ORIGINS, and its files in sources.locate.
"""

from objectives._data.digits.data import DigitPictures, Digits
from objectives._data.digits.prepare import load_digits
from objectives._data.digits.readers import N_PIXELS, SIDE, read_idx_images, read_pixels
from objectives._data.digits.sources import DATASETS, ORIGINS, raw_files

__all__ = [
    "DATASETS",
    "N_PIXELS",
    "ORIGINS",
    "SIDE",
    "DigitPictures",
    "Digits",
    "load_digits",
    "raw_files",
    "read_idx_images",
    "read_pixels",
]
