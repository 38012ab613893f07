"""The best few again under fresh seeds: `confirm` has them trained, `race` says who won, `paired` how sure that is."""
