"""No asset is renamed or lost unnoticed."""

from pathlib import Path

from dify_etl_tests.defs.asset_keys import KEPT, asset_keys


def test_asset_keys_are_those_that_were_promised(tmp_path: Path) -> None:
    """Where a change is meant, `make dictionary` writes them anew."""
    assert asset_keys(tmp_path) == KEPT.read_text(encoding="utf-8").splitlines()
