"""The one way in which a home's published copy comes into the shared warehouse."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dify_etl.home import Home, home_id
from dify_etl.sync.shared_note import noted_publication
from dify_etl.warehouse.errors import translated

if TYPE_CHECKING:
    from dify_etl.shared_warehouse.place import SharedPlace
    from dify_etl.shared_warehouse.publication import Publication


def bring_to_shared(
    home: Path, place: "SharedPlace", copy: Path, *, run_id: str, **how: Any
) -> "Publication":
    """Publish the copy as this home's, and have it remember whether that went well. Takes and
    raises what `publish_shared` does, and WarehouseUnwritable.
    """
    from dify_etl.shared_warehouse.publication import publish_shared  # loaded where there is one

    with noted_publication(home):
        try:
            own_id = home_id(home)
        except OSError as error:
            raise translated(Home(home).identity, error) from error
        return publish_shared(place, copy, run_id=run_id, home_id=own_id, **how)
