"""The one way in which a home's published copy comes into the shared warehouse."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dify_etl.sync.shared_note import noted_publication

if TYPE_CHECKING:
    from dify_etl.shared_warehouse.place import SharedPlace
    from dify_etl.shared_warehouse.publication import Publication


def bring_to_shared(
    home: Path, place: "SharedPlace", copy: Path, *, run_id: str, **how: Any
) -> "Publication":
    """Publish the copy, and have the home remember whether that went well. Takes and raises what
    `publish_shared` does.
    """
    from dify_etl.shared_warehouse.publication import publish_shared  # loaded where there is one

    with noted_publication(home):
        return publish_shared(place, copy, run_id=run_id, **how)
