"""No way into a raw table leaves a live secret in it, however its frame was made."""

import json
from datetime import timedelta
from typing import Any

from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.warehouse.tables import Table, frame
from dify_etl_tests.raw.test_no_secret_in_frames import VALUES
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, run

CANARY = "c4n4ry-f00dfeed1234"
_VALUES: dict[str, Any] = {
    **VALUES,
    "VARCHAR": f"open https://dify.test/pay?token={CANARY} now",
    "JSON": json.dumps({"api_key": CANARY, "note": f"?token={CANARY}", "kept": "c3rtain"}),
}


def leaky(table: Table) -> dict[str, Any]:
    """A row with a secret in each text and all JSON; ids are ids."""
    return {
        one.name: "1"
        if one.type == "VARCHAR" and (one.name in table.key or one.name.endswith("_id"))
        else _VALUES[one.type]
        for one in table.columns
    }


def test_no_raw_table_takes_a_secret_in(workplace: Open) -> None:
    """A frame that was put together by hand, of every raw table."""
    place = workplace(quiet_world("chat"))
    tables = [raw.table for raw in RAW_TABLES.values()]
    with place.opened() as sync, FeedLoader(sync, "messages") as loader, loader.commit():
        for table in tables:
            sync.database.ensure(table)
            loader.load_frame(table, frame(table, [leaky(table)]))
    texts = {
        table.name: json.dumps(place.rows(f"FROM {table.qualified}"), default=str)
        for table in tables
    }
    assert [name for name, text in texts.items() if CANARY in text] == []
    assert [name for name, text in texts.items() if REMOVED not in text] == []


def test_form_that_was_filled_in_is_kept_without_its_secrets(workplace: Open) -> None:
    """What a person typed and what they were shown, told by the message and by the node alone."""
    world = quiet_world("advanced-chat", "workflow")
    place = workplace(world, "1.16.1")
    at = world.now() - timedelta(hours=2)
    talk = world.add_conversation(app_of(world, "advanced-chat").id, at=at)
    asked = world.add_message(talk.id, at=at, query="pay 900", answer=None).workflow_run_id or ""
    alone = run(world, at=at, status="running")
    for run_id in (asked, alone):
        form = world.ask_person(run_id, at=at)
        form.form_content = f"see https://x.test/?token={CANARY} {{{{#$output.remark#}}}}"
        world.submit_form(form.id, at=at, remark=f"use ?token={CANARY} now")
        assert form.submitted_data is not None
        form.submitted_data["api_key"] = CANARY
        world.resume_run(run_id, at=at)
    place.read()
    rows = place.rows("SELECT submitted_data::VARCHAR, rendered_content FROM raw.human_inputs")
    assert len(rows) == 2
    assert CANARY not in repr(rows)
    assert all(REMOVED in text for row in rows for text in row)
