"""What decides: which parameters a trial gets, and whether it goes on.

sampling    samplers and pruners by their names in a study file
pruning     Hyperband and successive halving, asking the storage about the rung alone
knowledge   what the trials of one study say in the space of another
race        the pruner of a confirmation: who can no longer win; `paired` compares two contenders under the same seeds
"""
