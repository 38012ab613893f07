"""Handwritten digits, one of which is the target: MNIST, the sample of it that ships, or a user's own file.

What is read, by its content:

a table       784 pixels and the digit a line, in CSV, Parquet, Feather or JSON; a header names the digit's column
              (label, digit, class, ...), the pixels' numbers their order; without one the digit is last or first
.npz          x and y, images and labels, or x_train, y_train, x_test and y_test (Keras' mnist.npz)
a directory   one table, or mnist_train.csv and mnist_test.csv; those without digits have no say
pictures      in a directory for each digit, in train and test or without, or in a column of a parquet
MNIST's own   its four files in a directory, gzip or not; the path of one of them stands for all

sources  names, licences, files and targets    data     what an objective gets
readers  tables, .npz, pictures and IDX        prepare  load_digits
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
