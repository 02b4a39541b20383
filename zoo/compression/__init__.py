"""Smaller and faster models: a teacher for a small one, training for eight bits, pruning."""
