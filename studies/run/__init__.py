"""Running a study: from a launch to the end of its last trial.

launch       a launch from beginning to end; `launchers/` start its workers
join         a launch becomes part of its study: what is `waiting` first, and what `others` found
worker       one worker's life: claim a trial, run it, write how it ended; its `heartbeat`
trial        one trial's life: suggest, train, report; `function` has a plain function's; `end` and `failures` end it
objective    what a trial runs, by the dotted path in a spec
program      a command line as an objective: `process` runs it under its `supervisor`, `reports` reads it
             (`placeholders`: what a study file says of it, checked; `config_file`: a trial's copy of the one it reads;
             `last_words`: of one that failed)
preload      a Python script that is forked from a process, the `preloader`, which has its imports
checkpoint   what a trial goes on from, in its `encoding`, or its `kept_files`; `stored` keeps it in the storage,
             `retention` says which
limits       why a study stops early; `evidence` and `provenance` are kept beside a trial's value, `source` is its code
baselines    what a simple model scores on the study's data
placement    which GPUs and cores a worker gets; `sharing` one GPU among several, `packing` among how many
usage        what a worker uses; `nvml` asks NVIDIA's driver, `kernel` Linux, for memory that ran out
signals      what a worker makes of signals; `requeue` where Slurm sends it away, `leaving` its process's end
inheritance  what an objective's own processes inherit; `allocation` keeps a step's memory for the next one
"""
