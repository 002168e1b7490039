"""`dify-etl warehouse`: what is done with the warehouse that several workspaces share."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.consoles import out
from dify_etl.cli.json_answers import Json, print_json
from dify_etl.cli.operating import Apply
from dify_etl.cli.shared_options import Commands, Over

warehouse = Commands(
    help="The warehouse that several workspaces share (DIFY_ETL_WAREHOUSE).", no_args_is_help=True
)


@warehouse.command("publish", over=Over.LOOKED_AT)
def publish(
    *,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="This home replaces the one that published the workspace so far, for good: rows "
            "that it lacks are gone there.",
        ),
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring this home's published copy into the shared warehouse now; every sync does it."""
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings
        from dify_etl.assembly.sharing import publish_now

        done = publish_now(effective_settings(), takes_over=take_over)
        if as_json:
            print_json(asdict(done))
        else:
            _say(
                f"Workspace {done.workspace_id}: {done.partitions} partitions of {done.tables} "
                f"tables replaced, {done.rows} rows; publication {done.publication_id}"
            )


@warehouse.command("check", over=Over.LOOKED_AT)
def check(*, as_json: Json = False, debug: Debug = False) -> None:
    """Compare rows and checksums of every table with the published copy; 1 when one differs."""
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings
        from dify_etl.assembly.sharing import compare_now

        tables = compare_now(effective_settings())
        differing = [one for one in tables if not one.is_equal]
        if as_json:
            print_json({"is_equal": not differing, "tables": [asdict(one) for one in tables]})
        else:
            for one in differing:
                _say(
                    f"{one.table}: {_rows(one.home_rows)} in the home, "
                    f"{_rows(one.shared_rows)} in the shared warehouse"
                )
            rows = sum(one.home_rows or 0 for one in tables)
            _say(
                f"{len(differing)} of {len(tables)} tables differ: `dify-etl warehouse publish` "
                "brings them"
                if differing
                else f"{len(tables)} tables with {rows} rows are equal, value by value"
            )
        raise typer.Exit(1 if differing else 0)


@warehouse.command("compact")
def compact(
    *,
    keep_days: Annotated[
        int, typer.Option(min=0, help="Snapshots that are older go; analysts ask the others.")
    ] = 7,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Merge small files, expire old snapshots, delete files no longer used; a file is rewritten."""
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings
        from dify_etl.assembly.sharing import compact_now

        before, after = compact_now(effective_settings(), keep_days=keep_days)
        if as_json:
            print_json({"before": asdict(before), "after": asdict(after)})
        else:
            _say(f"before: {_size(before.files, before.bytes, before.snapshots)}")
            _say(f"after: {_size(after.files, after.bytes, after.snapshots)}")


@warehouse.command("upgrade")
def upgrade(*, as_json: Json = False, debug: Debug = False) -> None:
    """Bring a lake's catalog to the DuckLake of this DuckDB; an older DuckDB opens it no more."""
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings
        from dify_etl.assembly.sharing import upgrade_now

        version = upgrade_now(effective_settings())
        if as_json:
            print_json({"ducklake_version": version})
        elif version is None:
            _say("The shared warehouse is a file, which needs no upgrade")
        else:
            _say(f"The catalog of the lake is of DuckLake {version}")


@warehouse.command("remove")
def remove(
    workspace_id: Annotated[str, typer.Argument(help="Id of the workspace, as in ops.source.")],
    *,
    apply: Apply = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Take one workspace out of the shared warehouse; homes keep their rows.

    Without --apply it only says what would be done. The next sync of its home brings it back.
    """
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings
        from dify_etl.assembly.sharing import planned_removal, remove_now

        settings = effective_settings()
        is_plan = apply is None
        if apply is None:
            plan = planned_removal(settings, workspace_id)
        else:
            plan = remove_now(settings, workspace_id, agreed_id=apply)
        if as_json:
            told: dict[str, Any] = {"workspace_id": workspace_id, "rows": plan.rows}
            print_json(told | {"plan_id": plan.plan_id, "is_done": not is_plan})
            return
        for table, rows in sorted(plan.rows.items()):
            _say(f"  - {table}: {rows} rows")
        if is_plan:
            _say("  ! older snapshots go with them, those of other workspaces too")
            _say(f"plan {plan.plan_id}")
            _say(f"Nothing was changed. To do exactly this, add --apply {plan.plan_id}")
        else:
            _say(f"Removed: {sum(plan.rows.values())} rows of {len(plan.rows)} tables")


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def _rows(count: int | None) -> str:
    return "no such table" if count is None else f"{count} rows"


def _size(files: int, size: int, snapshots: int) -> str:
    return f"{files} files, {size / (1 << 20):.1f} MiB, {snapshots} snapshots"
