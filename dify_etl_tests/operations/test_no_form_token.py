"""A form that waits for a person opens without a login: its token is in no file that operations
write.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dify_etl.assembly.sync_proof import LiveSyncProof
from dify_etl.dify.app_writes import AppChanges
from dify_etl.home import Home
from dify_etl.operations.app_deletion import Escrow, delete_operation
from dify_etl.operations.apps import DesiredApp, update_operation
from dify_etl.operations.publishing import publish_operation
from dify_etl_tests.dify.pretend_workspace import app_of
from dify_etl_tests.operations.workbench import Workbench, applied
from dify_etl_tests.sync.workplace import RULES, ZONE, Workplace


@pytest.mark.parametrize("version", ["1.16.1", "main-2026-08"])
def test_token_of_a_waiting_form_is_in_no_file_of_operations(tmp_path: Path, version: str) -> None:
    """A chatflow that waits is changed, published and deleted with its escrow: audit, manifest and
    DSL hold neither token of its form.
    """
    bench = Workbench(tmp_path / "home", version=version)
    world, at = bench.world, bench.world.now() - timedelta(hours=1)
    app = app_of(world, "advanced-chat")
    user = world.add_end_user(app.id, session_id="alice", at=at)
    talk = world.add_conversation(app.id, at=at, end_user_id=user.id)
    message = world.add_message(talk.id, at=at, answer=None)
    world.ask_person(message.workflow_run_id or "", at=at, blocking=False)
    (form,) = world.human_input_forms.values()
    began = min(one.created_at for one in world.apps.values()).date()
    place = Workplace(world, bench.home, version, rules=replace(RULES, start_date=began))
    place.server = bench.server
    place.read()
    kept = Escrow(Home(bench.home).escrow, LiveSyncProof(bench.home, ZONE, world.now()))
    with bench.operator() as operator:
        for operation in (
            update_operation(operator, app.id, DesiredApp(AppChanges("Renamed", None))),
            publish_operation(operator, [app.id]),
        ):
            applied(operator, operation)
        applied(operator, delete_operation(operator, [app.id], kept))

    assert app.id not in world.apps
    files = [path for path in bench.home.rglob("*") if path.is_file() and path.suffix != ".duckdb"]
    assert {path.suffix for path in files} >= {".jsonl", ".json", ".yml"}
    tokens = [form.form_token.encode(), form.backstage_token.encode()]
    written = {path.name: path.read_bytes() for path in files}
    assert [name for name, text in written.items() if any(one in text for one in tokens)] == []
