"""Who chooses the next trial: KerasTuner's oracles, and its files."""
