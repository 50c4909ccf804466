"""`make bench`: how fast the whole stack is, beside its floor in the same run (python -m tests.bench)."""
