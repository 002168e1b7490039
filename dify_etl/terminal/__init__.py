"""What the commands do and show on a terminal; `cli.py` only parses their words."""
