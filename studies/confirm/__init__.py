"""The best few again under fresh seeds: `confirm` plans it and has it run; `search.race` says who won."""
