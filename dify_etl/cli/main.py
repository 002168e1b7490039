"""The command line: the same reads and operations as in Dagster, from a terminal.

Exit codes stand in `cli.clear_errors` and in the README. Dagster, the warehouse and
the simulated Dify are imported where they are used, so that --help answers at once.
"""

import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from dify_etl.cli.audit_commands import audit
from dify_etl.cli.clear_errors import (
    EXIT_CODES,
    NOTHING_PUBLISHED,
    WRONG_USE,
    Debug,
    clear_errors,
    clear_interrupt,
)
from dify_etl.cli.consoles import out
from dify_etl.cli.json_answers import Json
from dify_etl.cli.key_commands import keys
from dify_etl.cli.late_groups import late_group
from dify_etl.cli.log_line import wants_json
from dify_etl.cli.query_format import QueryFormat
from dify_etl.cli.report_language import ReportLanguage
from dify_etl.cli.shared_options import Commands, Over
from dify_etl.cli.standard_streams import lasting_streams

app = Commands(
    name="dify-etl",
    help="Reads a whole Dify workspace into DuckDB, loses nothing and can show so.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
quarantine = Commands(
    help="Objects of Dify that are no valid record: list them, load them after a fix.",
    no_args_is_help=True,
)
app.add_typer(quarantine, name="quarantine")
for name, told in {
    "apps": "Apps of the workspace: look, make, change, publish, move, delete.",
    "members": "Members of the workspace: list, invite, change roles, remove.",
    "warehouse": "The warehouse that several workspaces share: publish, check, compact, remove.",
    "indexing": "Documents that failed, are stuck or paused: list them, retry them.",
}.items():
    app.add_typer(late_group(name, help=told))
app.add_typer(audit, name="audit")
app.add_typer(keys, name="keys")


Host = Annotated[
    str, typer.Option(help="Address to serve; other than loopback takes DIFY_ETL_UI_PASSWORD.")
]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dify-etl {version('dify-etl')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """What stands before a command; `--version` has ended by now."""
    del show_version


def main() -> None:
    """The entry point `dify-etl`. Ctrl-C ends it with 130 wherever it is, in an import too."""
    streams = lasting_streams()
    try:
        with clear_interrupt():
            app()
        code = 0
    except typer.Exit as ended:  # outside of what Typer looks after
        code = ended.exit_code
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    sys.exit(code if streams is None else streams.exit_code(code))


@app.command(takes_shared=False, needs_output=False)
def demo(*, debug: Debug = False) -> None:
    """Read 30 days of a simulated Dify into dify_data/demo/dify.duckdb."""
    with clear_errors(debug=debug):
        from dify_etl.cli.syncing import run_demo

        raise typer.Exit(run_demo(out, is_debug=debug))


@app.command(takes_shared=False)
def init(
    *,
    address: Annotated[
        str | None, typer.Option(help="Address of your Dify, as https://dify.example.com.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="E-mail of the account that reads.")] = None,
    password_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File with its password; - is stdin."),
    ] = None,
    admin_api_key_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Instead: file with the admin API key; - is stdin."),
    ] = None,
    workspace_id: Annotated[
        str | None, typer.Option(help="The workspace to read with the admin API key.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Replace other values in .env without asking.")
    ] = False,
    password: Annotated[
        str | None,
        typer.Option(hidden=True, help="Refused: others could read it in the list of processes."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Ask for address and account, try them, and write .env with time zone and start date.

    Without a terminal: options, or DIFY_BASE_URL, DIFY_EMAIL, DIFY_PASSWORD (or DIFY_ADMIN_API_KEY,
    DIFY_WORKSPACE_ID) in the environment.
    """
    stopped = "Stopped. Run `dify-etl init` again to go on."
    with clear_errors(debug=debug, failed=WRONG_USE, stopped=stopped):
        from dify_etl.settings import SettingWrong

        if password is not None:
            raise SettingWrong(
                "a password on the command line stands in the list of processes and in the history",
                where="--password",
                hint="Set DIFY_PASSWORD, give --password-file FILE, or - for stdin. Change this "
                "one if others use the machine.",
            )
        from dify_etl.cli.account_questions import InitRequest
        from dify_etl.cli.first_settings import run_init

        request = InitRequest(
            address=address,
            email=email,
            password_file=password_file,
            admin_key_file=admin_api_key_file,
            workspace_id=workspace_id,
            may_replace=yes,
        )
        raise typer.Exit(run_init(out, request))


@app.command(over=Over.READ, needs_output=False)
def sync(
    *,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First local day, 2026-01-31.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last local day, included.")
    ] = None,
    app_: Annotated[
        list[str] | None, typer.Option("--app", help="Id or name of an app; repeat for more.")
    ] = None,
    feed: Annotated[
        list[str] | None, typer.Option("--feed", help="Raw table to read; repeat for more.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="All days since the start date, settled or not.")
    ] = False,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait for another sync; for a held file, 5 at least.")
    ] = 60.0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read Dify into the warehouse: without dates the look-back and all that was missed."""
    as_lines = wants_json() and not as_json  # nothing but the answer goes to stdout
    with clear_errors(debug=debug, failed=NOTHING_PUBLISHED, as_lines=as_lines):
        from dify_etl.cli.sync_request import SyncRequest
        from dify_etl.settings import load_settings

        request = SyncRequest(
            first=_day(from_, "--from"),
            last=_day(to, "--to"),
            apps=tuple(app_ or ()),
            feeds=tuple(feed or ()),
            is_full=full,
            wait_seconds=wait,
            is_debug=debug,
            is_json=as_json,
        )
        request.check_start(load_settings().start_date)
        from dify_etl.cli.syncing import run_sync

        raise typer.Exit(run_sync(request, out))


@app.command()
def accept(
    slices: Annotated[
        list[str] | None, typer.Argument(metavar="SLICE", help="FEED[:APP][:DAY or DAY..DAY]")
    ] = None,
    *,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; it is shown in every listing.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="The last day on which it counts.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Take known holes out of the verdict, not out of the ledger; without a SLICE, list them."""
    with clear_errors(debug=debug):
        from dify_etl.cli.accepting import run_accept

        last = _day(until, "--until")
        raise typer.Exit(run_accept(out, slices or (), reason=reason, until=last, is_json=as_json))


@app.command()
def privacy(
    *,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Bring older rows to the settings; cannot be undone.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what is kept of texts and people, and whether all rows are so; or rewrite older rows.

    Set DIFY_ETL_TEXT (keep, mask, drop) and DIFY_ETL_PEOPLE (keep, hash) before the first sync.
    """
    with clear_errors(debug=debug):
        from dify_etl.cli.rewriting import run_privacy

        raise typer.Exit(run_privacy(out, is_to_rewrite=rewrite, is_json=as_json))


@app.command()
def source(
    *,
    accept: Annotated[
        str | None,
        typer.Option("--accept", help="Go on with what answers, as the change of this id says."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say which Dify, workspace and account the home is tied to, and what answers today.

    Where the account was replaced or Dify moved, --accept goes on with the same workspace.
    """
    with clear_errors(debug=debug):
        from dify_etl.cli.source_commands import run_source

        raise typer.Exit(run_source(out, agreed_id=accept, is_json=as_json))


@app.command()
def forget(
    person: Annotated[
        str | None,
        typer.Argument(help="Session id, id of an end user or account, or e-mail; none: list."),
    ] = None,
    *,
    apply: Annotated[
        str | None, typer.Option("--apply", help="Do what the plan of this id says.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Take one person's texts and names out of the home; what Dify tells of them stays out.

    Without --apply it only says what would be done. See `dify-etl docs privacy`.
    """
    with clear_errors(debug=debug):
        from dify_etl.cli.forgetting import run_forget

        raise typer.Exit(run_forget(out, person, agreed_id=apply, is_json=as_json))


@app.command(needs_output=False)
def notify(
    *,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test to every target, and say who got it.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send and keep nothing.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Look for what went wrong and send alerts to DIFY_ETL_NOTIFY; a sync does it at its end.

    In cron it also notices a night that did not happen. See `dify-etl docs alerts`.
    """
    with clear_errors(debug=debug):
        from dify_etl.cli.notifying import run_notify

        raise typer.Exit(run_notify(out, is_test=test, is_dry_run=dry_run, is_json=as_json))


@app.command(takes_shared=False, needs_output=False)
def simulate(
    *,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 5001,
    version: Annotated[str, typer.Option(help="Dify version to behave like.")] = "1.16.1",
    apps: Annotated[int, typer.Option(min=1, help="Apps of the workspace.")] = 10,
    days: Annotated[int, typer.Option(min=1, help="Days of history.")] = 30,
    conversations_per_day: Annotated[int, typer.Option(min=0, help="In the workspace.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same workspace.")] = 7,
    latency: Annotated[str, typer.Option(help="Added to every answer, as 20ms or 0.1s.")] = "0ms",
    timezone: Annotated[str, typer.Option(help="Time zone of the account.")] = "UTC",
    debug: Debug = False,
) -> None:
    """Serve a simulated Dify on loopback and print the settings to copy."""
    with clear_errors(debug=debug):
        from dify_etl.cli.simulating import run_simulation

        run_simulation(
            out,
            port=port,
            version=version,
            latency=latency,
            plan={
                "apps": apps,
                "days": days,
                "conversations_per_day": conversations_per_day,
                "seed": seed,
                "timezone": timezone,
            },
        )


@app.command(over=Over.LOOKED_AT)
def doctor(
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write the account's time zone into .env.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Read samples by the API and from Dify's database; name differences."
        ),
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check server, login, role, workspace, time zone, disk and locks; say what to do."""
    with clear_errors(debug=debug):
        from dify_etl.cli.doctor import examine

        raise typer.Exit(examine(out, write=write, compare=compare, is_json=as_json))


@app.command(over=Over.LOOKED_AT)
def status(
    *,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """One glance: what is proven through which day, what is red and since when, what waits.

    Dify is not asked. It ends with 1 when something is red or a night is missing.
    """
    with clear_errors(debug=debug):
        from dify_etl.cli.showing_status import run_status

        raise typer.Exit(run_status(out, is_json=as_json))


@app.command()
def tables(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One table: its columns and a row.")
    ] = None,
    *,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the tables of the published copy with grain, rows and how fresh they are."""
    with clear_errors(debug=debug):
        from dify_etl.cli.listing import describe_table, list_tables

        if name:
            raise typer.Exit(describe_table(out, name, is_json=as_json))
        raise typer.Exit(list_tables(out, is_json=as_json))


@app.command()
def query(
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="As `select …`; without any, a shell.")
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="A file of SQL instead.")
    ] = None,
    form: Annotated[
        QueryFormat, typer.Option("--format", help="How the answer is shown.")
    ] = QueryFormat.TABLE,
    debug: Debug = False,
) -> None:
    """Ask the published copy in SQL, also while a sync runs; needs no Dify."""
    with clear_errors(debug=debug):
        from dify_etl.cli.querying import run_query

        raise typer.Exit(run_query(out, sql, file=file, form=form))


@app.command()
def export(
    what: Annotated[
        str, typer.Argument(metavar="NAME|QUERY", help="A table or view, or a SELECT.")
    ],
    *,
    to: Annotated[Path, typer.Option("--to", help="File: .parquet, .csv, .xlsx or .jsonl.")],
    app_: Annotated[
        list[str] | None, typer.Option("--app", help="Id or name of an app; repeat for more.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First local day, 2026-01-31.")
    ] = None,
    to_date: Annotated[
        str | None, typer.Option("--to-date", metavar="DATE", help="Last local day, included.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a table, view or query of the published copy into a file for others."""
    with clear_errors(debug=debug):
        from dify_etl.cli.exporting import ExportRequest, run_export
        from dify_etl.warehouse.published_copy import RowChoice

        choice = RowChoice(tuple(app_ or ()), _day(from_, "--from"), _day(to_date, "--to-date"))
        request = ExportRequest(what, to, choice, may_replace=force, is_json=as_json)
        raise typer.Exit(run_export(out, request))


@app.command()
def report(
    *,
    to: Annotated[
        Path | None, typer.Option("--to", help="File, .html; else reports/ in the home.")
    ] = None,
    language: Annotated[
        ReportLanguage | None,
        typer.Option("--language", help="In which it opens; else the reader's own."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write all figures of the published copy into one HTML page that needs no network."""
    with clear_errors(debug=debug, failed=NOTHING_PUBLISHED):
        from dify_etl.cli.reporting import run_report

        raise typer.Exit(run_report(out, to, language=language.value if language else None))


@app.command(takes_shared=False)
def docs(
    name: Annotated[
        str | None,
        typer.Argument(help="A page, page#section, or the name of an error or a red check."),
    ] = None,
    *,
    debug: Debug = False,
) -> None:
    """Show the manual: its pages, one of them, or what to do about an error."""
    with clear_errors(debug=debug):
        from dify_etl.cli.showing_manual import run_docs

        raise typer.Exit(run_docs(out, name))


@quarantine.command("list")
def quarantine_list(*, as_json: Json = False, debug: Debug = False) -> None:
    """Show what waits: feed, record, field, and what is wrong with it."""
    with clear_errors(debug=debug):
        from dify_etl.cli.quarantining import list_quarantine

        raise typer.Exit(list_quarantine(out, is_json=as_json))


@quarantine.command("retry")
def quarantine_retry(*, debug: Debug = False) -> None:
    """Parse what was kept once more and load what can be read now."""
    with clear_errors(debug=debug):
        from dify_etl.cli.quarantining import retry_waiting

        raise typer.Exit(retry_waiting(out))


@app.command(over=Over.SERVED, needs_output=False)
def dev(
    *,
    host: Host = "127.0.0.1",
    port: Port = 3000,
    debug: Debug = False,
) -> None:
    """Start the Dagster UI with this project."""
    with clear_errors(debug=debug):
        from dify_etl.cli.developing import run_dagster

        run_dagster(out, host=host, port=port, is_server=False)


@app.command(over=Over.SERVED, needs_output=False)
def serve(
    *,
    host: Host = "127.0.0.1",
    port: Port = 3000,
    check: Annotated[
        bool, typer.Option("--check", help="Ask one that runs whether all its parts live.")
    ] = False,
    code_servers: Annotated[
        Path | None,
        typer.Option(help="A workspace.yaml of code servers on other machines, to serve these."),
    ] = None,
    debug: Debug = False,
) -> None:
    """The same for a server: logs are JSON lines, for what collects them.

    --check starts nothing: it says ok, or which part does not live (web, code, daemon, storage) and
    ends with 1.
    """
    with clear_errors(debug=debug, as_lines=not check and wants_json("json")):
        if check:
            from dify_etl.cli.health_check import check_health

            raise typer.Exit(check_health(out, host=host, port=port))
        from dify_etl.cli.developing import run_dagster

        run_dagster(out, host=host, port=port, is_server=True, code_servers=code_servers)


def _day(text: str | None, option: str) -> date | None:
    from dify_etl.sync.errors import WindowWrong

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise WindowWrong(
            f"{text!r} is no date", where=option, hint=f"Write it as {option} 2026-01-31."
        ) from None
