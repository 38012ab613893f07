"""What the data sets share. A module here knows nothing of any one of them.

preparation    hash, build once, check, open: the steps that every data set takes. Start here.
cache          directories that are complete or not there, made by one process while the others wait
hashes disk    sha256 of raw files, remembered; how JSON and arrays are written
lines tables   text and CSV files whose mistakes are reported with the file's name and the line
json_rows      objects in JSON, likewise
recoded        UTF-16 and the line ends of old Macs
split          which rows are held out
sources        the samples that ship, and paths that a user gives
"""
