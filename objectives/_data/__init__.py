"""The data sets: what turns raw files into memory-mapped arrays that every process of a machine shares. No torch.

One folder per data set (titles, pictures, digits, motor, lyrics), and `kit` for what they share. The modules have the
same names in each folder:

sources     the data sets' names, their licences, and where their files are
readers     the forms those files come in
split       which rows train, validate and test, where that is this data set's own rule
arrays      the arrays of each role, where building them is long
data        what an objective gets: a class that fulfils `objectives.Prepared`
prepare     from raw files to arrays: the call of `kit.preparation.prepare_arrays`

To add a data set: write these modules in a folder of its own, import the names that objectives use in its `__init__`,
and add its golden values to tests/unit/golden_data.json. Objectives import from the folder, not from a module in it.
"""
