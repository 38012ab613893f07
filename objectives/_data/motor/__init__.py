"""An electric motor's temperatures in sessions: the Paderborn measurements, or a simulation that replaces them.

What is read: a table with a header, gzip or not, that has COLUMNS and `profile_id` in any order and letter case; other
columns may hold anything. Commas separate the columns, or semicolons or tabs, with which decimal commas are read, too.

sources  names, licences and files    simulation  the simulated motor
readers  the CSV files                averages    moving averages within sessions
split    the role of each session     data        what an objective gets
                                      prepare     load_motor

To add a data set: a name in sources.DATASETS and ORIGINS, and its file in sources.raw_files.
"""

from objectives._data.motor.averages import averaged
from objectives._data.motor.data import Motor
from objectives._data.motor.prepare import load_motor
from objectives._data.motor.readers import COLUMNS, SESSION
from objectives._data.motor.sources import DATASETS, ORIGINS, raw_files

__all__ = ["COLUMNS", "DATASETS", "ORIGINS", "SESSION", "Motor", "averaged", "load_motor", "raw_files"]
