"""Faults under load, counted: what each system loses, runs twice, and how long it takes to recover.

`python -m benchmarks.chaos --help`. The harness knows of a system only how to start it and where its broker
keeps messages; what ran is written to files by the tasks themselves, which no fault touches.
"""
