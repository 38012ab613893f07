"""Small labelled pictures: CIFAR-10, synthetic figures, or a user's own directory, parquet or .npz.

sources  names, licences and files       shapes   the synthetic figures
readers  the forms of a source           data     what an objective gets
decode   picture files as pixels         prepare  load_pictures

To add a data set: a name in sources.DATASETS and ORIGINS, its files in sources.locate; to add a form: a function in
readers.READERS.
"""

from objectives._data.pictures.data import PictureRows, PictureSet
from objectives._data.pictures.decode import SIDE, SUFFIXES, decoded
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
    "load_pictures",
    "raw_files",
]
