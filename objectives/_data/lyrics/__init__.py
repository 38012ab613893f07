"""Songs, poems and plays as words and as characters: what ships, Kaggle's song lyrics, or a user's own.

What is read, by its name, gzip or not, or alone in a zip archive:

.txt        documents end at blank lines, and have some 4,000 characters; long ones are cut at lines, sentences or words
.csv, .tsv  (or .parquet, .feather) a column text, lyrics or lyric is the documents; also in a .txt with such a header
.jsonl      the same in JSON: an object in each line, or (.json) an array of them, or what pandas' to_json writes
directory   each .txt in it is a document; without any, it is a table of Parquet files

Behind the name or path, `songs.csv:drop_empty=yes` leaves out rows without a text.

sources  names, licences and files    arrays   from documents to each role's arrays
readers  CSV, JSON and plain text     data     what an objective gets
tokens   texts as numbers and back    prepare  load_lyrics

To add a data set: a name in sources.DATASETS and ORIGINS, and its file in sources.locate.
"""

from objectives._data.lyrics.data import Lyrics, Stream, Tokens
from objectives._data.lyrics.prepare import load_lyrics
from objectives._data.lyrics.sources import DATASETS, ORIGINS, files_of, locate
from objectives._data.lyrics.tokens import END, UNKNOWN, Vocabulary

__all__ = [
    "DATASETS",
    "END",
    "ORIGINS",
    "UNKNOWN",
    "Lyrics",
    "Stream",
    "Tokens",
    "Vocabulary",
    "files_of",
    "load_lyrics",
    "locate",
]
