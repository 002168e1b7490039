"""The keys of all assets, as alerts, dashboards and other code locations know them."""

from pathlib import Path

from dify_etl.defs.code_location import code_location
from dify_etl_tests.defs.night import settings_for

KEPT = Path(__file__).with_name("asset_keys.txt")


def test_asset_keys_are_those_that_were_promised(tmp_path: Path) -> None:
    """A renamed or lost asset shows here; write asset_keys.txt anew when it is meant."""
    definitions = code_location(settings_for(tmp_path))
    keys = sorted("/".join(spec.key.path) for spec in definitions.resolve_all_asset_specs())
    assert keys == KEPT.read_text(encoding="utf-8").splitlines()
