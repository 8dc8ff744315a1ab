"""The commands of `python -m contentworker`, a module for each group."""
