"""Programs: training scripts as people have them, which a study starts by a command. See docs/guides/programs.md."""
