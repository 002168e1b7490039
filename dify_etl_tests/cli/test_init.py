"""`dify-etl init`: what it asks, tries and writes, at a terminal and without one."""

import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from dotenv import dotenv_values
from typer.testing import CliRunner, Result

from dify_etl.cli.main import app
from dify_etl.settings import load_settings, setting_names
from dify_etl_tests.cli import situations as some
from dify_etl_tests.cli.command_line import ServedDify, Shell
from dify_etl_tests.cli.situations import Arrange, Stage
from dify_etl_tests.cli.terminals import ENTER, at_a_terminal

Init = Callable[..., Result]


@pytest.fixture
def init(dify: ServedDify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """The command in an empty folder, for the small Dify, with its password in the environment."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    account = dify.world.account
    given = {"--address": dify.base_url, "--email": account.email}

    def run(*words: str, stdin: str = "", **changed: str) -> Result:
        options = {**given, **dict(zip(words[::2], words[1::2], strict=True))}
        flat = [word for pair in options.items() for word in pair if word]
        environment = {"DIFY_PASSWORD": str(account.password), **changed}
        return CliRunner().invoke(app, ["init", *flat], input=stdin, env=environment)

    return run


def held() -> dict[str, str | None]:
    """What python-dotenv reads in `.env`."""
    return dotenv_values(".env")


def test_everything_is_written(init: Init, dify: ServedDify) -> None:
    """Address, account, its zone and the oldest day; the file is private, and sync comes next."""
    world = dify.world
    oldest = min([world.workspace.created_at, *(one.created_at for one in world.apps.values())])
    done = init()
    assert done.exit_code == 0, done.output
    assert held() == {
        "DIFY_BASE_URL": dify.base_url,
        "DIFY_EMAIL": world.account.email,
        "DIFY_PASSWORD": world.account.password,
        "DIFY_ETL_TIMEZONE": "UTC",
        "DIFY_ETL_START_DATE": oldest.date().isoformat(),
    }
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert "Next: `dify-etl sync`" in done.output
    assert str(world.account.password) not in done.output


def test_other_lines_stay_and_own_ones_are_named(init: Init, dify: ServedDify) -> None:
    """Comments, other variables and a start date stay; a replaced value is named before, a secret
    without its value; a file that others could read becomes private.
    """
    file = Path(".env")
    file.write_text(
        "# mine\nOTHER='a b' # kept\nDIFY_EMAIL=old@dify.test # who\nDIFY_PASSWORD=geheim\n"
        "DIFY_ETL_START_DATE=2026-01-01\nDIFY_ADMIN_API_KEY=old-key\n"
    )
    file.chmod(0o644)
    refused = init()
    assert refused.exit_code == 2
    assert "DIFY_EMAIL=old@dify.test" in refused.output
    assert "Add --yes" in refused.output
    assert held()["DIFY_EMAIL"] == "old@dify.test"
    done = init("--yes", "")
    assert done.exit_code == 0, done.output
    assert "geheim" not in refused.output + done.output
    assert "old-key" not in done.output
    text = file.read_text()
    assert text.startswith("# mine\nOTHER='a b' # kept\n")
    assert f"DIFY_EMAIL={dify.world.account.email} # who\n" in text
    assert held()["DIFY_ETL_START_DATE"] == "2026-01-01"
    assert held()["DIFY_ADMIN_API_KEY"] == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_password_from_a_file(init: Init, way: str, dify: ServedDify) -> None:
    """Its first line, from a file or stdin."""
    password = f"{dify.world.account.password}\r\n"
    Path("secret").write_text(password)
    source = "secret" if way == "file" else "-"
    done = init("--password-file", source, stdin=password, DIFY_PASSWORD="")
    assert done.exit_code == 0, done.output
    assert held()["DIFY_PASSWORD"] == dify.world.account.password


def test_password_that_stands_in_a_file_stays_there(init: Init, dify: ServedDify) -> None:
    """`DIFY_PASSWORD_FILE` is as good as the variable; the settings can be loaded afterwards."""
    Path("secret").write_text(str(dify.world.account.password))
    Path(".env").write_text("DIFY_PASSWORD_FILE=secret\n")
    done = init(DIFY_PASSWORD="")
    assert done.exit_code == 0, done.output
    assert "DIFY_PASSWORD" not in held()
    assert load_settings().password is not None


def test_file_of_another_secret_is_named_no_more(init: Init, dify: ServedDify) -> None:
    """Else both would be set, and every command would refuse that."""
    Path("secret").write_text("of another account")
    Path("new").write_text(str(dify.world.account.password))
    Path(".env").write_text("DIFY_PASSWORD_FILE=secret\nDIFY_ADMIN_API_KEY_FILE=secret\n")
    done = init("--password-file", "new", "--yes", "", DIFY_PASSWORD="")
    assert done.exit_code == 0, done.output
    settings = load_settings()
    assert settings.password is not None
    assert settings.password.get_secret_value() == dify.world.account.password
    assert settings.admin_api_key is None
    assert "of another account" not in done.output


def test_admin_key(init: Init, dify: ServedDify) -> None:
    """The key and its workspace instead of an account."""
    world = dify.world
    Path("key").write_text(world.admin_api_key)
    words = ["--admin-api-key-file", "key", "--workspace-id", world.workspace_id]
    done = init(*words)
    assert done.exit_code == 0, done.output
    assert held()["DIFY_ADMIN_API_KEY"] == world.admin_api_key
    assert held()["DIFY_WORKSPACE_ID"] == world.workspace_id
    Path("key").write_text("wrong")
    refused = init(*words)
    assert refused.exit_code == 2
    assert "does not take the admin key" in refused.output


@pytest.mark.parametrize("path", ["/apps", "/console/api/", "/app/1/overview"])
def test_path_of_a_page_is_no_part_of_the_address(init: Init, path: str, dify: ServedDify) -> None:
    """What stands in a browser's address line will do."""
    assert init("--address", f"{dify.base_url}{path}").exit_code == 0
    assert held()["DIFY_BASE_URL"] == dify.base_url


def test_address_without_a_scheme(init: Init, dify: ServedDify) -> None:
    """https is tried, then http."""
    assert init("--address", dify.base_url.removeprefix("http://")).exit_code == 0
    assert held()["DIFY_BASE_URL"] == dify.base_url


WRONG: tuple[tuple[str, dict[str, str], Arrange, tuple[str, ...]], ...] = (
    ("closed port", {"--address": "http://127.0.0.1:9"}, some.nothing, ("is refused",)),
    ("no scheme", {"--address": "ftp://x"}, some.nothing, ("no http or https URL",)),
    ("password", {"PASSWORD": "Wrong-pass-1"}, some.nothing, ("e-mail or password is wrong",)),
    ("locked", {"--email": "locked@dify.test"}, some.locked_account, ("locked", "Wait for")),
    ("nothing given", {"PASSWORD": ""}, some.nothing, ("DIFY_PASSWORD is not known", "--password")),
    ("no file", {"--password-file": "nowhere"}, some.nothing, ("No such file", "--password-file")),
    ("on the line", {"--password": "Wrong-pass-1"}, some.nothing, ("list of processes",)),
)


@pytest.mark.parametrize(("name", "given", "arrange", "says"), WRONG, ids=[one[0] for one in WRONG])
def test_what_is_wrong_is_named(
    name: str,
    given: dict[str, str],
    arrange: Arrange,
    says: tuple[str, ...],
    init: Init,
    dify: ServedDify,
) -> None:
    """Exit code 2, one message, nothing written, and no secret shown."""
    with arrange(Stage(dify, Shell(Path()))):
        options = [word for pair in given.items() if pair[0][:1] == "-" for word in pair]
        changed = {"DIFY_PASSWORD": given["PASSWORD"]} if "PASSWORD" in given else {}
        done = init(*options, **changed)
    assert done.exit_code == 2, done.output
    assert [one for one in says if one not in done.output] == [], done.output
    assert "Wrong-pass-1" not in done.output
    assert not Path(".env").exists()


def test_https_is_never_left_unasked(init: Init, dify: ServedDify) -> None:
    """Where only http answers, it is named, not taken: the password would travel in the open."""
    done = init("--address", dify.base_url.replace("http:", "https:"))
    assert done.exit_code == 2
    assert f"Dify answers at {dify.base_url}, unencrypted" in done.output
    assert not Path(".env").exists()


def test_account_without_a_zone(init: Init, dify: ServedDify) -> None:
    """The account is written, no zone is, and what to do in Dify is said."""
    with some.account_without_zone(Stage(dify, Shell(Path()))):
        done = init()
    assert done.exit_code == 1
    assert "Set the account's time zone in Dify" in done.output
    assert held()["DIFY_EMAIL"] == dify.world.account.email
    assert "DIFY_ETL_TIMEZONE" not in held()


def test_environment_that_counts_before_the_file(init: Init, dify: ServedDify) -> None:
    """What was written would not be used: that is said."""
    done = init(DIFY_EMAIL="other@dify.test")
    assert done.exit_code == 0
    assert "counts before .env: DIFY_EMAIL" in done.output


def test_a_terminal_is_asked_again(dify: ServedDify, tmp_path: Path) -> None:
    """A wrong address and a wrong password are told and asked for again; no password is echoed."""
    account = dify.world.account
    shell = Shell(tmp_path)
    answers = [
        ("Address of your Dify", "http://127.0.0.1:9"),
        ("Address of your Dify", dify.base_url),
        ("E-mail of the account", account.email),
        ("Password", "Wrong-pass-1"),
        ("E-mail of the account", account.email),
        ("Password", str(account.password)),
    ]
    dialogue = [(question, answer + ENTER) for question, answer in answers]
    done = at_a_terminal(shell, "init", dialogue=dialogue)
    assert done.code == 0, done.out
    said = done.out
    assert "is refused" in said
    assert "e-mail or password is wrong" in said
    assert "Next: `dify-etl sync`" in said
    assert "Wrong-pass-1" not in said
    assert str(account.password) not in said
    assert dotenv_values(tmp_path / ".env")["DIFY_PASSWORD"] == account.password


def test_who_stops_it_is_told_how_to_go_on(tmp_path: Path) -> None:
    """Nothing was read that a next run could complete."""
    account = {"DIFY_EMAIL": "ann@example.com", "DIFY_PASSWORD": "secret"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Shell(tmp_path, account).start("init", "--address", address) as process:
            asked, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
            asked.close()
    assert process.returncode == 130
    assert err == "Stopped. Run `dify-etl init` again to go on.\n"
