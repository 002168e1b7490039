"""A published copy with a few rows that are told by name: what asks it needs no sync before."""

from datetime import timedelta
from pathlib import Path

from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.home import COPY
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.models import build
from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.sql.hand_written import NOON, HandWritten, models_behind

EVIL = "a\x1b[2Jb[bold]c\u202egnp\r\n;d"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "fine"]


def hand_made(folder: Path) -> Shell:
    """A home with a copy: the apps Bot (two of that name) and Desk, three messages on two days."""
    shell = Shell(folder)
    shell.home.mkdir(parents=True)
    with open_database(shell.home / COPY) as database:
        with database.transaction():
            database.ensure(*(raw.table for raw in RAW_TABLES.values()), *OPS_TABLES)
        rows = HandWritten(database, zone_of("Europe/Berlin"))
        for app_id, name in (("bot-1", "Bot"), ("bot-2", "Bot"), ("desk", "Desk")):
            rows.add("raw.apps", app_id=app_id, name=name, mode="chat")
        rows.message("later", app_id="desk", query="second", created_at=NOON + timedelta(hours=9))
        rows.message("later", app_id="desk", query="first", answer=EVIL)
        rows.message("earlier", app_id="bot-1", query="=2+5", created_at=NOON - timedelta(days=1))
        rows.add("ops.published", published_at=NOON, run_id="run", through_date=NOON.date())
        with database.transaction():
            for model in models_behind("exports.conversations"):
                build(database, model)
    return shell
