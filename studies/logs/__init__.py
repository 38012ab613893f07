"""Logs: what workers and programs print, in files below `logs` in the home of the machine that keeps them.

log      one of them: written up to a limit, read while it is written, its end
places   where those of a study are
noted    which study they are of, and which process writes one
removal  those of a study that is deleted

`logs/STUDY/LAUNCH/worker-0.log` is a worker's, on the machine of its launch, with a file `worker-0.process` beside it
that says which process writes it. `logs/STUDY/trial-7.log` is the program's of a trial, where it ran.

Versions of a study, and studies of one name in two storages, share a directory. A file `study` in a launch says
whose it is, by its `uid`; one beside the trials' logs says whose they are, and others have `logs/STUDY/UID`.
"""
