"""Product titles and their categories: PriceRunner, MercadoLibre's challenge, or a file in the form of either.

What is read, by its content; a table may be CSV, Parquet, a directory of its parts, Feather or JSON:

a table      a header with `title` and `category`, or other names of them (see readers.OTHER_NAMES), among others
two columns  without a header, if it is plain which one is the category: that whose values repeat
PriceRunner  its seven columns, without a header
JSON         objects with `title` and `category`, perhaps `tokenized_title`: one in each line, or an array of them
a directory  NAME.train.jsonl, NAME.validation.jsonl and NAME.test.jsonl, or train.csv, val.csv, test.csv and the like

Options behind the name or path: `titles.csv:drop_classes_below=3` leaves out classes with fewer different titles,
`titles.csv:drop_empty=yes` rows without a title or a category; both: `titles.csv:drop_classes_below=3,drop_empty=yes`.

sources   names, licences and files             tokens      cleaning a title
readers   the forms of a file                   vocabulary  words as numbers
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
