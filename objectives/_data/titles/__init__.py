"""Product titles and their categories: PriceRunner, MercadoLibre's challenge, or a file in the form of either.

sources   names, licences and files             tokens      cleaning a title
readers   the three forms of a file             vocabulary  words as numbers
split     the role of each row                  vectors     word vectors from a file
spool     all rows on disk, in one pass         data        what an objective gets
arrays    from the spool to each role's arrays  prepare     load_titles

To add a data set of titles: a name in sources.DATASETS and ORIGINS, its files in sources.locate; to add a form: a
function in readers.READERS.
"""

from objectives._data.titles.data import TitleRows, Titles
from objectives._data.titles.prepare import load_titles
from objectives._data.titles.sources import DATASETS, ORIGINS, raw_files
from objectives._data.titles.tokens import Recipe
from objectives._data.titles.vocabulary import PAD, UNK, encoder

__all__ = ["DATASETS", "ORIGINS", "PAD", "UNK", "Recipe", "TitleRows", "Titles", "encoder", "load_titles", "raw_files"]
