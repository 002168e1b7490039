"""How home-0.1-synced.tar.xz was made: a sync of version 0.1 against the simulated Dify 1.12.1.

    .venv/bin/python -m dify_etl_tests.homes.make_synced_home <dify-etl of a checkout of 969f714>

The world is that of `lively_world`; when its builder changes, make the home anew.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from dify_etl_tests.sync.small_worlds import lively_world
from dify_etl_tests.sync.workplace import RULES
from dify_simulated import SimulatedDify, serve

ARCHIVE = Path(__file__).parent / "home-0.1-synced.tar.xz"


def make(command: str, folder: Path) -> Path:
    """The live file of a home that this command synced."""
    world = lively_world()
    home = folder / "home"
    with serve(SimulatedDify(world, "1.12.1")) as running:
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DIFY_BASE_URL": running.base_url,
            "DIFY_EMAIL": world.account.email,
            "DIFY_PASSWORD": world.account.password or "",
            "DIFY_ETL_HOME": str(home),
            "DIFY_ETL_START_DATE": RULES.start_date.isoformat(),
            "DIFY_ETL_TIMEZONE": RULES.zone.key,
        }
        subprocess.run([command, "sync"], env=settings, cwd=folder, check=True)
    return home / "live.duckdb"


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as place,
        tarfile.open(ARCHIVE, "w:xz", preset=9) as archive,
    ):
        archive.add(make(sys.argv[1], Path(place)), "live.duckdb")
