"""`dify-etl doctor`: one finding per thing that a sync needs, each with what to do."""

import stat
import tarfile
from dataclasses import dataclass, field

import pytest

from dify_etl_tests.cli import situations as some
from dify_etl_tests.cli.command_line import ServedDify, Shell
from dify_etl_tests.cli.situations import Arrange, Stage
from dify_etl_tests.homes.make_synced_home import ARCHIVE

WIDE = "400"  # the path of a folder of tests is long, and must not be folded


@dataclass(frozen=True)
class Ill:
    """A situation, and what the doctor must say of it."""

    name: str
    says: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    arrange: Arrange = some.nothing


ILLS = (
    Ill("server", ("✗ server the connection is refused", "Check that the server runs",
        "– version, login", "not looked at"), {"DIFY_BASE_URL": "http://127.0.0.1:9"}),
    Ill("page's path", ("✗ server", "console's API is not below"), arrange=some.path_of_a_page),
    Ill("https for http", ("✗ server", "does not speak https"), arrange=some.https_to_http),
    Ill("no Dify", ("✗ server", "without Dify's X-Version"),
        arrange=some.answering("<html/>", "text/html")),
    Ill("locked", ("✗ login", "locked the account"), arrange=some.locked_account),
    Ill("password", ("✗ login Dify refuses the login", "Check e-mail and password"),
        {"DIFY_PASSWORD": "Wrong-pass-1"}),
    Ill("time zone", ("the account has UTC", "Set DIFY_ETL_TIMEZONE=UTC"),
        {"DIFY_ETL_TIMEZONE": "Europe/Berlin"}),
    Ill("no time zone", ("the account has no time zone", "Set the account's time zone in Dify"),
        arrange=some.account_without_zone),
    Ill("clock", ("ahead of this machine's", "Set the wrong one right"), arrange=some.clock_ahead),
    Ill("home", ("is a file", "Set DIFY_ETL_HOME"), arrange=some.home_is_a_file),
    Ill("read-only", ("cannot be written", "Set DIFY_ETL_HOME"), arrange=some.unwritable_home),
    Ill("live file", ("is held by PID", "open the published copy"), arrange=some.held_live_file),
    Ill("session store", ("Redis cannot be used", "Start Redis"),
        {"DIFY_TOKEN_STORE": "redis://:geheim@127.0.0.1:9/0"}),
)  # fmt: skip


@pytest.mark.parametrize("ill", ILLS, ids=lambda ill: ill.name)
def test_doctor_names_the_ill(ill: Ill, own_copy: Shell, dify: ServedDify) -> None:
    """Exit code 1, what was found and what to do; the other findings stand beside it."""
    with ill.arrange(Stage(dify, own_copy)) as met:
        answer = own_copy.run("doctor", COLUMNS=WIDE, **ill.variables, **met.variables)
    assert answer.code == 1, answer.text
    assert [one for one in (*ill.says, *met.says) if one not in answer.text] == [], answer.text
    assert "✗" in answer.out
    assert "geheim" not in answer.out + answer.err


def test_what_an_account_is_not_shown_is_no_ill(own_copy: Shell, dify: ServedDify) -> None:
    """A sync goes on without it and exits 0, and so does the doctor; it is marked and advised."""
    with some.low_role(Stage(dify, own_copy)) as met:
        answer = own_copy.run("doctor", COLUMNS=WIDE, **met.variables)
    assert answer.code == 0, answer.text
    assert "○ role normal: may not read conversations" in answer.text
    assert "○ feed messages not shown to this account (normal)" in answer.text
    assert "Ask an owner for the role editor" in answer.text


def test_doctor_of_a_home_of_0_1(own_copy: Shell) -> None:
    """The home still holds what version 0.1 kept: the doctor says what the next sync will mend."""
    home = own_copy.folder / "home"
    with tarfile.open(ARCHIVE) as archive:
        archive.extract("live.duckdb", home, filter="data")
    answer = own_copy.run("doctor", COLUMNS=WIDE)
    assert answer.code == 1, answer.text
    assert "made by an earlier version" in answer.text
    assert "tokens, keys and links that open something are removed" in answer.text


def test_doctor_of_a_healthy_home(own_copy: Shell) -> None:
    """Exit code 0, a tick on every line."""
    answer = own_copy.run("doctor", COLUMNS=WIDE)
    assert answer.code == 0, answer.text
    assert "✗" not in answer.out
    of_dify = ("server", "version", "login", "session store", "workspace", "role", "time zone")
    subjects = (*of_dify, "home", "sync lock", "live file")
    assert [one for one in subjects if one not in answer.out] == []


def test_doctor_writes_no_zone_that_is_none(own_copy: Shell, dify: ServedDify) -> None:
    """An account without a time zone: --write leaves .env as it is."""
    with some.account_without_zone(Stage(dify, own_copy)):
        own_copy.run("doctor", "--write")
    file = own_copy.folder / ".env"
    assert "TIMEZONE" not in (file.read_text() if file.exists() else "")


def test_doctor_says_who_syncs(own_copy: Shell, dify: ServedDify) -> None:
    """A running sync is no ill, but the doctor names its process."""
    with some.running_sync(Stage(dify, own_copy)) as met:
        answer = own_copy.run("doctor", COLUMNS=WIDE)
    assert answer.code == 0, answer.text
    assert f"held by {met.says[0]}" in answer.text


def test_doctor_leaves_no_home_behind(shell: Shell) -> None:
    """In a folder where nothing was synced yet, the doctor makes no database."""
    answer = shell.run("doctor", COLUMNS=WIDE)
    assert answer.code == 0, answer.text
    assert list(shell.home.glob("*.duckdb")) == []


@pytest.mark.parametrize("held", [None, "# mine\nDIFY_ETL_TIMEZONE=Asia/Tokyo\nOTHER=1\n"])
def test_doctor_writes_the_time_zone(shell: Shell, held: str | None) -> None:
    """--write puts the account's zone into .env and keeps all else; a new file is private."""
    file = shell.folder / ".env"
    if held is not None:
        file.write_text(held)
        file.chmod(0o640)
    zone = {} if held else {"DIFY_ETL_TIMEZONE": "Asia/Tokyo"}
    assert shell.run("doctor", "--write", **zone).code == 0
    expected = "DIFY_ETL_TIMEZONE=UTC\n" if held is None else held.replace("Asia/Tokyo", "UTC")
    assert file.read_text() == expected
    assert stat.S_IMODE(file.stat().st_mode) == (0o600 if held is None else 0o640)
    assert shell.run("doctor").code == 0
