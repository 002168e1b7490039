"""Whatever is wrong, a command ends with one clear message and leaves the data as they were."""

from dataclasses import dataclass, field

import pytest

from dify_etl.home import COPY, LIVE
from dify_etl_tests.cli import situations as some
from dify_etl_tests.cli.command_line import Answer, ServedDify, Shell
from dify_etl_tests.cli.situations import Arrange, Stage
from dify_etl_tests.cli.small_servers import some_days_ago
from dify_etl_tests.duckdb_files import opened_to_read

DAY = "2026-01-31"
HTML = "<html><body>Welcome to nginx</body></html>"


@dataclass(frozen=True)
class Bad:
    """A situation, the command in it, the exit code, and words that its message must hold."""

    name: str
    code: int
    says: tuple[str, ...]
    command: str = "sync"
    variables: dict[str, str] = field(default_factory=dict)
    arrange: Arrange = some.nothing


SERVERS = (
    Bad("nothing listens", 3, ("connection is refused", "127.0.0.1:9", "server runs"),
        variables={"DIFY_BASE_URL": "http://127.0.0.1:9"}),
    Bad("no such host", 3, ("cannot be resolved", "no-such-host.invalid", "DNS"),
        variables={"DIFY_BASE_URL": "http://no-such-host.invalid"}),
    Bad("http to an https server", 3, ("http or https",), arrange=some.http_to_https),
    Bad("https to an http server", 3, ("does not speak https", "http://"),
        arrange=some.https_to_http),
    Bad("a page's path", 3, ("not below", "/apps"), arrange=some.path_of_a_page),
    Bad("expired certificate", 3, ("certificate is not accepted", "localhost", "Renew"),
        arrange=some.expired_certificate),
    Bad("a server of HTML", 3, ("NotDify", "X-Version", "Dify console", "ping at 127.0.0.1:"),
        arrange=some.answering(HTML, "text/html")),
    Bad("a server of other JSON", 3, ("NotDify", "X-Version", "Dify console"),
        arrange=some.answering('{"result": "pong"}', "application/json")),
)  # fmt: skip

ACCOUNTS = (
    Bad("wrong password", 3, ("refuses the login", "/login at 127.0.0.1:", "Check e-mail"),
        variables={"DIFY_PASSWORD": "Wrong-pass-1"}, arrange=some.no_session),
    Bad("unknown account", 3, ("refuses the login", "/login", "Check e-mail and password"),
        variables={"DIFY_EMAIL": "nobody@dify.test"}),
    Bad("locked account", 3, ("locked", "/login", "Wait for the lock"),
        arrange=some.locked_account),
    Bad("role too low", 0, ("unproven", "role"), arrange=some.low_role),
    Bad("another workspace", 3, ("workspace", "Switch the account back"),
        arrange=some.other_workspace),
    Bad("another server", 3, ("server origin", "DIFY_ETL_HOME"), arrange=some.other_address),
    Bad("another time zone", 3, ("time zone is UTC", "Europe/Berlin", "DIFY_ETL_TIMEZONE=UTC"),
        variables={"DIFY_ETL_TIMEZONE": "Europe/Berlin"}),
)  # fmt: skip

DAYS = (
    Bad("unknown app", 2, ("'deleted app'", "--app", "apps list"), "sync --app deleted.app"),
    Bad("misspelt app", 2, ("Did you mean 'the chat app'?",), "sync --app TheChatAp"),
    Bad("unknown feed", 2, ("'mesages'", "--feed", "Did you mean 'messages'"),
        "sync --feed mesages"),
    Bad("feed that is off", 2,
        ("document_segments is read only where", "DIFY_ETL_SEGMENTS=true"),
        "sync --feed document_segments"),
    Bad("no date", 2, ("'2026-02-30'", "--from", DAY), "sync --from 2026-02-30"),
    Bad("a date in the future", 2, ("2099-01-01 lies in the future", "--to"),
        f"sync --from {some_days_ago(1)} --to 2099-01-01"),
    Bad("end before start", 2, ("before the start", "earlier day"),
        f"sync --from {some_days_ago(0)} --to {some_days_ago(1)}"),
    Bad("end before start, both before the start date", 2,
        ("the end 2023-01-31 is before the start 2023-02-01", "earlier day"),
        "sync --from 2023-02-01 --to 2023-01-31"),
    Bad("before the start date", 2, ("before the start date", "DIFY_ETL_START_DATE=2024-01-01"),
        "sync --from 2024-01-01"),
    Bad("days and all days", 2, ("--full", "--from"), f"sync --full --from {some_days_ago(1)}"),
    Bad("no number", 2, ("--wait",), "sync --wait soon"),
    Bad("no such option", 2, ("--fast",), "sync --fast"),
    Bad("no such latency", 2, ("'slow'", "--latency", "20ms"), "simulate --latency slow"),
    Bad("no port", 2, ("port 99999", "--port"), "simulate --port 99999"),
    Bad("no such zone to simulate", 2, ("'Mars'", "--timezone"), "simulate --timezone Mars"),
    Bad("no such Dify version", 2, ("0.9", "--version"), "simulate --version 0.9.0"),
)  # fmt: skip

SETTINGS = (
    Bad("no such time zone", 2, ("DIFY_ETL_TIMEZONE", "Mars/Olympus", ".env", "Europe/Berlin"),
        variables={"DIFY_ETL_TIMEZONE": "Mars/Olympus"}),
    Bad("bad number", 2, ("DIFY_ETL_LOOKBACK_DAYS", "integer"),
        variables={"DIFY_ETL_LOOKBACK_DAYS": "week"}),
    Bad("cron that Dagster refuses", 2, ("DIFY_ETL_SCHEDULE", "99 1 * * *", "30 1 * * *"),
        variables={"DIFY_ETL_SCHEDULE": "99 1 * * *"}, arrange=some.runs_are_recorded),
    Bad("the same before the UI starts", 2, ("DIFY_ETL_SCHEDULE", "99 1 * * *"), "dev",
        variables={"DIFY_ETL_SCHEDULE": "99 1 * * *"}),
    Bad("no such setting", 2, ("DIFY_ETL_TIMZONE", "environment", "'DIFY_ETL_TIMEZONE'"),
        variables={"DIFY_ETL_TIMZONE": "UTC"}),
    Bad("no such setting in .env", 2, ("DIFY_ETL_TXT", "'DIFY_ETL_TEXT'"),
        arrange=some.env_file(b"DIFY_ETL_TXT=mask\n")),
    Bad("no password", 2, ("DIFY_PASSWORD is not set", ".env"), variables={"DIFY_PASSWORD": ""}),
    Bad("the same for the doctor", 1, ("DIFY_PASSWORD is not set", ".env"), "doctor",
        variables={"DIFY_PASSWORD": ""}),
    Bad("relative DAGSTER_HOME", 2, ("DAGSTER_HOME", "absolute"),
        variables={"DAGSTER_HOME": "dagster"}),
    Bad("a line that is no setting", 2, ("line 2 of .env", "NAME=value"),
        arrange=some.env_file(b"DIFY_ETL_LOOKBACK_DAYS=7\nthis is no setting\n")),
    Bad("no text", 2, ("UTF-8",), arrange=some.env_file(b"DIFY_EMAIL=\xff\xfe\n")),
)  # fmt: skip

FILES = (
    Bad("home is a file", 3, ("a file is in the way", "DIFY_ETL_HOME"),
        arrange=some.home_is_a_file),
    Bad("home cannot be written", 3, ("cannot be made", "DIFY_ETL_HOME"),
        arrange=some.unwritable_home),
    Bad("live file held", 3, ("waited 5 s", COPY), "sync --wait 0.2",
        arrange=some.held_live_file),
    Bad("another sync runs", 3, ("another sync", "waited 0.2 s", "DIFY_ETL_HOME"),
        "sync --wait 0.2", arrange=some.running_sync),
)  # fmt: skip


# What an interpreter says when it ends shows only in one of its own: before, amid and after a read.
ANEW = ("no such host", "live file held", "role too low", "no such time zone")


@pytest.mark.parametrize(
    "bad", [*SERVERS, *ACCOUNTS, *DAYS, *SETTINGS, *FILES], ids=lambda bad: bad.name
)
def test_bad_input_ends_with_a_clear_message(
    bad: Bad, own_copy: Shell, dify: ServedDify, loaded_content: list[object]
) -> None:
    """Exit code and words are as promised; no traceback, no noise, no secret, no data changed."""
    with bad.arrange(Stage(dify, own_copy)) as met:
        words = [word.replace(".app", " app") for word in bad.command.split()]
        run = own_copy.run_anew if bad.name in ANEW else own_copy.run
        answer = run(*words, COLUMNS="240", **bad.variables, **met.variables)
    assert answer.code == bad.code, answer.text
    assert [one for one in (*bad.says, *met.says) if one not in answer.text] == [], answer.text
    assert_quiet(answer, own_copy)
    if bad.name != "role too low":  # that one publishes what could be read
        assert content(own_copy) == loaded_content


@pytest.fixture(scope="module")
def loaded_content(loaded: Shell) -> list[object]:
    """What every copy of the loaded home holds before a test."""
    return content(loaded)


def content(shell: Shell) -> list[object]:
    """Every row of the live file, and the bytes of the copy."""
    with opened_to_read(shell.home / LIVE) as connection:
        tables = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY 1"
        ).fetchall()
        rows = [
            sorted(connection.execute(f"SELECT t::VARCHAR FROM {name} t").fetchall())
            for (name,) in tables
        ]
    return [*rows, (shell.home / COPY).read_bytes()]


def assert_quiet(answer: Answer, shell: Shell) -> None:
    """Nothing that a user cannot read, nothing that nobody may read."""
    noise = ("Traceback", "nanobind", "Exception ignored", "Warning", "This is a bug")
    assert [one for one in noise if one in answer.text] == []
    assert shell.variables["DIFY_PASSWORD"] not in answer.out + answer.err
    assert "Wrong-pass-1" not in answer.out + answer.err
