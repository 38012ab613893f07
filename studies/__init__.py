"""Hyperparameter studies that are exact, crash-safe and honest.

The map, in the order data flows:

    cli         what users type: parses, calls one function, prints
    settings    the STUDIES_* variables
    spec        a study file, validated; `space` is the part about parameters; `catalog/` holds the shipped ones
    launchers   start workers: local processes
    worker      one worker's life: claim, run, heartbeat, stop
    trial       one trial's life: suggest, train, report, outcome
    storage     the shared PostgreSQL: opening it, the embedded server, who works on what
    report      storage -> plain dataclasses
    exporters   report -> files
    web         optuna-dashboard on the storage
"""

__version__ = "0.1.0"
