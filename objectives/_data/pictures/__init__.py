"""Small labelled pictures: CIFAR-10, synthetic figures, or a user's own directory, parquet or .npz.

What is read, by its content:

a directory   CLASS/NAME.png, or ROLE/CLASS/NAME.png with the roles train, val and test; hidden directories are not
              read; pictures elsewhere or that cannot be read are an error, and so are directories without any
parquet       a column of picture files (image, png, ...), one of classes (label, ...), perhaps `split`; several files
              in a directory, whose names may say the role (train-00000-of-00001.parquet)
.npz          x and y, images and labels, or x_train, y_train, x_test and y_test; grey or in colour, as torch has
              them or as others do
CIFAR-10      its python or binary version: cifar-10-batches-py, the directory above it, or cifar-10-python.tar.gz

Pictures of any depth and mode become 8 bits a channel; what is transparent is white; what is turned is turned back.

sources  names, licences and files       shapes   the synthetic figures
readers  the forms of a source           data     what an objective gets
(kit.decode: files as pixels)            prepare  load_pictures

To add a data set: a name in sources.DATASETS and ORIGINS, its files in sources.locate; to add a form: a function in
readers.READERS.
"""

from objectives._data.kit.decode import SIDE, SUFFIXES, decoded, is_shown
from objectives._data.pictures.data import PictureRows, PictureSet
from objectives._data.pictures.prepare import load_pictures
from objectives._data.pictures.sources import DATASETS, ORIGINS, raw_files

__all__ = [
    "DATASETS",
    "ORIGINS",
    "SIDE",
    "SUFFIXES",
    "PictureRows",
    "PictureSet",
    "decoded",
    "is_shown",
    "load_pictures",
    "raw_files",
]
