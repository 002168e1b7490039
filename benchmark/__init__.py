"""How fast dify-etl reads a Dify, beside its floor and its peers, on one machine in one run.

`make bench` runs it and writes docs/benchmark.md; `make bench SIZE=small` prints a quick version.
"""
