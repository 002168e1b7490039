"""The command line: `main.py` parses words, the others do what was asked and show it."""
