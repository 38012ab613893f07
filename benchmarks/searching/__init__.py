"""What `benchmarks/search.py` is made of.

simulation  workers on a virtual clock, and the interface between them and whoever searches
tasks       what is trained: LCBench by a trained model, and recorded TaskSet curves
known       the best known value and the median random setting of each task, which regret is measured by
regret      how far a search is from the best known after so many epochs, and the table of it
ours        this product's samplers and pruners, through its own `run_trial`
optunas     Optuna as an Optuna program has it, and a prototype that pauses and resumes
peers       Syne Tune and NePS, where they are installed
contenders  all of these by name <- ADD ONE
"""
