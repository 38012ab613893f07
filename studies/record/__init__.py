"""A study, read back from the storage. Nothing here draws a page or runs a trial.

study       the whole study as plain dataclasses: `StudyRecord` and its trials
progress    how it stands right now, in a few statements whatever its size
diagnose    what a trial's curve and predictions say of it; `verdicts` keeps that beside the trial
classes     a classifier's evidence; `floor` is below which loss a bounded output cannot fall
frames      trials and epochs as pandas frames
"""
