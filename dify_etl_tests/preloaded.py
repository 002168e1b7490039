"""What the forks of `dify_etl_tests.forks` find imported, beside the modules named there."""

import gc
from importlib import import_module

for name in ("rich._emoji_codes", "typer.main", "tzdata"):
    import_module(name)

# A fork copies each page in which its collector marks an object, and looks through all of them.
gc.freeze()
