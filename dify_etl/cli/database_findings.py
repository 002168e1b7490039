"""What the doctor finds of Dify's database: whether it answers, what is granted, and on request
whether it tells what the API tells.
"""

from collections.abc import Iterator

from dify_etl.assembly.connection import dify_database_of
from dify_etl.cli.findings import Finding
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError
from dify_etl.errors import ActionableError
from dify_etl.settings import Settings

SHOWN_IDS = 3


def examine_database(
    settings: Settings, dify: DifyClient, workspace_id: str, *, compare: bool
) -> Iterator[Finding]:
    """Nothing is said where the settings name no database, unless a comparison is asked for."""
    database = dify_database_of(settings)
    if database is None:
        if compare:
            advice = "Set it first: docs/database.md, or `dify-etl docs database`."
            yield Finding("comparison", "DIFY_DATABASE_URL names no database", advice)
        return
    try:
        with database.snapshot(workspace_id) as shot:
            found = f"it has this workspace, and shows {len(shot.columns)} tables"
        yield Finding("database", found)
        if compare:
            yield from _compared(settings, dify, workspace_id)
    except DifyError:
        raise
    except ActionableError as error:
        yield Finding.of("database", error)


def _compared(settings: Settings, dify: DifyClient, workspace_id: str) -> Iterator[Finding]:
    from dify_etl.feeds.database_compared import Compared, compare

    def differences(one: Compared) -> Iterator[str]:
        for name, ids in (("the API", one.only_api), ("the database", one.only_database)):
            if ids:
                yield f"{len(ids)} rows that {name} alone tells ({', '.join(ids[:SHOWN_IDS])})"
        for column, ids in one.differing.items():
            yield f"{column} differs in {len(ids)} rows ({', '.join(ids[:SHOWN_IDS])})"

    database = dify_database_of(settings)
    assert database is not None
    for one in compare(dify, database, workspace_id):
        subject = f"both ways: {one.table}"
        if one.is_equal:
            yield Finding(subject, f"{one.rows} rows of samples are the same")
        else:
            yield Finding(
                subject,
                f"of {one.rows} rows of samples: {'; '.join(differences(one))}",
                "`dify-etl docs database` lists what is known to differ. Anything else: report it "
                "with Dify's version, and unset DIFY_DATABASE_URL to read by the API.",
                is_limit=True,
            )
