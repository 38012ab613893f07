"""A study, read back from the storage. Nothing here draws a page or runs a trial.

study         the whole study as plain dataclasses: `StudyRecord`, and a `TrialRecord` for each trial
reading       `read` makes them from the storage, with every verdict up to date
progress      how it stands right now, in a few statements whatever its size
overview      the same for a list of studies, in one statement
front         the Pareto front, where several metrics count; `choice` takes one trial of it
confirmation  how the best few stand under fresh seeds
diagnose      gives each trial its verdict, from its curve and predictions
comparison    what a trial is compared with for that
verdicts      the kinds of verdicts, how one is stored, and how many trials have each
classes       a classifier's evidence
floor         the lowest loss that a bounded output can reach
frames        trials and epochs as pandas frames
"""
