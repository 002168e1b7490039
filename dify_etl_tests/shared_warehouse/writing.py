"""A process that publishes version after version of a small copy, and says when each is there.

`python -m dify_etl_tests.shared_warehouse.writing TARGET DATA FOLDER WORKSPACE FIRST LAST`; the
data path is empty for a file. It tries a version again when the warehouse was away.
"""

import sys
from pathlib import Path

from pydantic import SecretStr

from dify_etl.shared_warehouse.errors import SharedWarehouseError
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl_tests.shared_warehouse.small_copies import small_copy
from dify_etl_tests.shared_warehouse.unchecked_extensions import unchecked_extensions

TRIES = 100


def write(place: SharedPlace, folder: Path, workspace: str, versions: range) -> None:
    """Publish these versions; a line `<version>` when one is there, `away` when a try failed."""
    for version in versions:
        copy = small_copy(folder / f"{workspace}.duckdb", workspace, version)
        for tries in range(TRIES):
            try:
                publish_shared(place, copy, run_id=f"{workspace} {version}")
                break
            except SharedWarehouseError as error:
                print(f"away {error.what}", flush=True)
                if tries == TRIES - 1:
                    raise
        print(version, flush=True)


if __name__ == "__main__":
    target, data, folder, workspace, first, last = sys.argv[1:]
    with unchecked_extensions():
        write(
            SharedPlace(SecretStr(target), data or None, Path(folder) / f"spill-{workspace}"),
            Path(folder),
            workspace,
            range(int(first), int(last)),
        )
