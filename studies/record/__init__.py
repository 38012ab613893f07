"""A study, read back from the storage. Nothing here draws a page or runs a trial.

study       the whole study as plain dataclasses: `StudyRecord`, and a `TrialRecord` for each trial
reading     `read` makes them from the storage, with every verdict up to date
progress    how it stands right now, in a few statements whatever its size
diagnose    what a trial's curve and predictions say of it; `verdicts` is what a verdict is, and how it is kept
classes     a classifier's evidence; `floor` is below which loss a bounded output cannot fall
frames      trials and epochs as pandas frames
"""
