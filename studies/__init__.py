"""Hyperparameter studies that are exact, crash-safe and honest.

The map, in the order data flows:

    cli         what users type: parses, calls one function, prints; one module for each noun
    settings    the STUDIES_* variables
    spec        a study file, validated; `space` is the part about parameters; `catalog/` holds the shipped ones
    check       whether a study is sound, before it costs anything; `check/checks/` holds what is looked for
    launch      a launch from beginning to end; `launchers/` start its workers, `limits` says when it stops early
    start       how a launch joins its study: which version, what runs first, what it knows of others (`knowledge`)
    confirm     the best few again under fresh seeds; `race` says who is out and who won, by `paired` differences
    study       a study in the storage; `sampling` and `pruning` decide for it, `names` its names and attributes
    worker      one worker's life: claim, run, heartbeat, stop
    trial       one trial's life: suggest, train, report, `outcome`; `failures` reads an objective's exceptions;
                `checkpoint` is what it goes on from, `retention` says which of them are kept, `evidence` is what
                is kept beside its value
    objective   reaching an objective by the dotted path in a spec
    datasets    objectives' data sets: where they are, what is missing; `download` gets a file
    files       a file that is there whole or not at all
    artifacts   where checkpoints and the dashboard's files are: a directory or a bucket
    storage     the shared PostgreSQL: the embedded server, the fast Optuna storage, who works on what
    report      storage -> plain dataclasses -> a page; `view` and `tables` show it in a terminal
    exporters   report -> files
    model       the winner's directory: `model/` trains what is in it (`train`), says how it came out (`result`, `card`)
                and asks it (`predict`)
    web         optuna-dashboard on the storage, with the report's figures in it
    notebook    all of it from Python, beginning with `studies.load`
"""

__version__ = "0.1.0"

from studies.notebook import Model, Page, Study, load, load_model

__all__ = ["Model", "Page", "Study", "__version__", "load", "load_model"]
