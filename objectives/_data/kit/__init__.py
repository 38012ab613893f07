"""What the data sets share. A module here knows nothing of any one of them.

preparation    hash, build once, check, open: the steps that every data set takes. Start here.
cache          directories that are complete or not there, made by one process while the others wait
hashes disk    sha256 of raw files, remembered; how JSON and arrays are written
lines tables   text files and tables whose mistakes are reported with the file's name and the line
json_rows      rows in JSON, likewise
arrow packed   Parquet and Feather as CSV; gzip and zip archives
npz pixels     pictures in an .npz; numbers of any range as the bytes of a picture
recoded        UTF-16 and the line ends of old Macs
decode picture_files   picture files as pixels, and where they and their labels are
content        what a file is by its first bytes
split          which rows are held out
sources        the samples that ship, and paths that a user gives
"""
