"""The names of the user attributes that more than one module reads or writes, and the words for why a trial fails."""

# of a study
SPEC, DECLARED, DATA = "spec", "declared_space", "data"
UID = "uid"  # tells it from every other study of its name, in other storages too

# of a trial
CONTINUES = "continues"  # the number of the trial that this one continues
CONTINUED_BY = "continued_by"  # the number of the trial that continues this one, which no longer counts
REASON = "reason"  # why it failed, one of REASONS
VERDICT = "verdict"  # in the words of `studies.report.diagnose`; beside it, `verdict_evidence` and `verdict_advice`
RETRIES = "retries"  # how often it has been continued for one of the reasons RETRIED

# Why a trial fails; `studies.trial` says what each means.
REASONS = ("nan", "out_of_memory", "exception", "connection", "stopped", "lost")
CONTINUED = ("connection", "stopped", "lost")  # another trial goes on where it was
RETRIED = ("connection", "lost")  # at most max_retries times
