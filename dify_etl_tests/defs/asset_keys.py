"""The keys of all assets, as alerts, dashboards and other code locations know them.

    python -m dify_etl_tests.defs.asset_keys

writes asset_keys.txt anew: look at what has changed in it, since a lost key is a broken promise.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from dify_etl.defs.code_location import code_location
from dify_etl_tests.defs.night import settings_for

KEPT = Path(__file__).with_name("asset_keys.txt")


def asset_keys(home: Path) -> list[str]:
    """The keys of a code location, sorted, their parts joined by a slash."""
    definitions = code_location(settings_for(home))
    return sorted("/".join(spec.key.path) for spec in definitions.resolve_all_asset_specs())


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        KEPT.write_text("\n".join(asset_keys(Path(folder))) + "\n", encoding="utf-8")
