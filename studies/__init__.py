"""Hyperparameter studies that are exact, crash-safe and honest.

The map, in the order data flows:

    cli         what users type: parses, calls one function, prints; one module for each noun
    settings    the STUDIES_* variables
    spec        a study file, validated; `space` is the part about parameters; `catalog/` holds the shipped ones
    launch      a launch from beginning to end; `launchers/` start its workers, `limits` says when it stops early
    start       how a launch joins its study: which version, what runs first, what it knows of others (`knowledge`)
    confirm     the best few again under fresh seeds; `race` says who is out and who won, by `paired` differences
    study       a study in the storage; `sampling` has its samplers and pruners, `names` its names and attributes
    worker      one worker's life: claim, run, heartbeat, stop
    trial       one trial's life: suggest, train, report, outcome; `checkpoint` is what it goes on from
    objective   reaching an objective by the dotted path in a spec
    storage     the shared PostgreSQL: the embedded server, the fast Optuna storage, who works on what
    report      storage -> plain dataclasses -> a page; `view` and `tables` show it in a terminal
    exporters   report -> files
    web         optuna-dashboard on the storage
"""

__version__ = "0.1.0"
