"""A SQL file that cannot be read is an asset that fails by itself; the others stay as they are."""

from pathlib import Path

import dagster as dg
import pytest

from dify_etl.pipeline.model_assets import model_assets

HEADER = "-- One row per app.\n-- app_id: the app\n"
FILES = {
    "staging/stg_apps": HEADER + "select app_id from raw.apps",
    "marts/good": HEADER + "select app_id from staging.stg_apps",
    "marts/no_syntax": HEADER + "select app_id frm raw.apps",
    "marts/no_header": "select app_id from raw.apps",
    "marts/reads_broken": HEADER + "select app_id from marts.no_syntax",
    "marts/left": HEADER + "select app_id from marts.right",
    "marts/right": HEADER + "select app_id from marts.left",
    "marts/after": HEADER + "select app_id from marts.right",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of SQL files, some of them broken."""
    for name, text in FILES.items():
        path = tmp_path / f"{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_file_is_an_asset_broken_or_not(folder: Path) -> None:
    """The code location loads; a broken file says so in its description."""
    specs = {"/".join(spec.key.path): spec for one in model_assets(folder) for spec in one.specs}
    assert set(specs) == set(FILES)
    broken = {key for key, spec in specs.items() if "is broken" in str(spec.description)}
    assert broken == {
        "marts/no_syntax",
        "marts/no_header",
        "marts/left",
        "marts/right",
        "marts/after",
    }
    assert [dep.asset_key for dep in specs["marts/good"].deps] == [
        dg.AssetKey(["staging", "stg_apps"])
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [("no_syntax", "syntax error"), ("no_header", "grain"), ("left", "marts.right")],
)
def test_broken_file_fails_with_its_name(folder: Path, name: str, says: str) -> None:
    """What is wrong, which file, and what to write instead; nothing to try again."""
    key = dg.AssetKey(["marts", name])
    (asset,) = [one for one in model_assets(folder) if key in one.keys]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert says in str(told.metadata["what"].value)
    assert told.metadata["where"].value == f"sql/marts/{name}.sql"
    assert told.metadata["error"].value == "ModelBroken"
