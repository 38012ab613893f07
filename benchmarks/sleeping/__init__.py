"""Trials that sleep, as each of those runs them whom `scaling.py` compares.

Each trial writes a line when it begins and one after its last sleep, before its last report: `begin PID SECONDS` and
`end PID SECONDS` of the machine's monotonic clock, all into one file. So all are measured in the same way.
"""
