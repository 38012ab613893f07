"""An electric motor's temperatures in sessions: the Paderborn measurements, or a simulation that replaces them.

What is read: a table with a header that has COLUMNS and `profile_id` (or `session`, `session_id`, `profile`) in any
order and letter case; other columns may hold anything. In CSV commas separate them, or semicolons, tabs or bars, with
which decimal commas are read, too. Parquet, a directory of its parts, Feather and JSON are read as the same in CSV.

sources  names, licences and files    simulation  the simulated motor
readers  the tables                   averages    moving averages within sessions
split    the role of each session     data        what an objective gets
                                      prepare     load_motor

To add a data set: a name in sources.DATASETS and ORIGINS, and its file in sources.locate.
"""

from objectives._data.motor.averages import averaged
from objectives._data.motor.data import Motor
from objectives._data.motor.prepare import load_motor
from objectives._data.motor.readers import COLUMNS, OTHER_NAMES, SESSION
from objectives._data.motor.sources import DATASETS, ORIGINS, raw_files

__all__ = ["COLUMNS", "DATASETS", "ORIGINS", "OTHER_NAMES", "SESSION", "Motor", "averaged", "load_motor", "raw_files"]
