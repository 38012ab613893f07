"""What decides: which parameters a trial gets, and whether it goes on.

samplers       the sampler of a study file
gp             the default sampler
process cube   what it computes with: a Gaussian process, settings as points of a cube
observed       what it learns from: what trials had reached at a rung, paused ones too
alike          where settings train alike: how far a suggestion keeps away from what was tried
ranking        what TPE and CMA-ES are shown
asha           the default pruner, which pauses trials
pruners        the pruner of a study file
made           what both share: from a name and its options to Optuna's object, with an error for the study file
seeded         a sampler whose random numbers follow from the study's seed and the trial's number
allowed        settings that keep the conditions and were not tried, of a whole space as well
asked          what a plain function asks for, so that no setting of it is tried twice
repeats        each setting under several seeds, ranked by its mean
distributions  a study file's ranges and choices as Optuna has them
out_of_memory  how samplers learn from trials that ran out of memory
rungs          Hyperband and successive halving, asking the storage about the rung alone
knowledge      what the trials of one study say in the space of another
race           the pruner of a confirmation: who can no longer win
paired         two contenders under the same seeds: is one better

To add a sampler, write a function like `samplers.grid`, or take a class that Optuna has, and add a line to `SAMPLERS`
in `studies/registry.py`. Pruners go the same way, into `PRUNERS`. A user's own needs no line:
`sampler: {name: mymodule:mine}`. `studies.testing` has the tests that each must pass.
"""
