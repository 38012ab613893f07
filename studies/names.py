"""The names of the user attributes that more than one module reads or writes, in the storage."""

# of a study
SPEC, DECLARED, DATA = "spec", "declared_space", "data"

# of a trial
CONTINUES = "continues"  # the number of the trial that this one continues
CONTINUED_BY = "continued_by"  # the number of the trial that continues this one, which no longer counts
REASON = "reason"  # why it failed, in the words of `studies.trial`
VERDICT = "verdict"  # in the words of `studies.report.diagnose`; beside it, `verdict_evidence` and `verdict_advice`
RETRIES = "retries"  # how often it has been continued because its worker was lost
