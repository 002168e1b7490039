"""workspaces.toml: whose setting counts, what is refused, and that no secret is ever shown."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dify_etl.home import Home, holds_others
from dify_etl.setting_sources import ENV_FILE, OF_ONE_DIFY, WORKSPACE
from dify_etl.settings import Settings, SettingWrong, load_settings, setting_names
from dify_etl.workspaces import (
    SHARED,
    all_workspaces,
    environment_of,
    folders_of_others,
    key_of,
    read_workspaces,
    server_of,
)
from dify_etl_tests.test_settings import BAD, GOOD, SECRETS

SECRET = "geheim-1234"
FILE = Path("workspaces.toml")
SALES = """
[workspaces.sales]
base_url = "https://dify.example.com"
email = "sales@example.com"
password_env = "SALES_PASSWORD"
"""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no variable of whoever runs the tests."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("SALES_PASSWORD", SECRET)
    monkeypatch.chdir(tmp_path)


def load_workspace(name: str) -> Settings:
    """The settings of a workspace."""
    return load_settings(**{WORKSPACE: name})


def toml_of(value: str) -> str:
    """A string of TOML."""
    return '"' + value.replace("\\", "\\\\") + '"'


def test_no_two_settings_have_one_key() -> None:
    """The prefix is left out, so that this could be."""
    keys = [key_of(name) for name in setting_names()]
    assert len(keys) == len(set(keys))
    assert set(setting_names()) >= OF_ONE_DIFY | SHARED


@pytest.mark.parametrize(
    ("name", "text", "field"), [row for row in GOOD if row[0] not in SHARED], ids=lambda one: one
)
def test_every_setting_may_stand_in_a_table(name: str, text: str, field: str) -> None:
    """By its name in lower case without the prefix; it sets the field that its variable sets."""
    FILE.write_text(f"[workspaces.sales]\n{key_of(name)} = {toml_of(text)}\n")
    assert getattr(load_workspace("sales"), field) == getattr(load_settings(**{name: text}), field)


@pytest.mark.parametrize("how", ["env", "file"])
@pytest.mark.parametrize(
    ("name", "text", "field"), [row for row in SECRETS if row[0] not in SHARED], ids=lambda one: one
)
def test_secret_is_named_by_its_place(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, field: str, how: str
) -> None:
    """By a variable or a file; what the environment holds for others does not disturb."""
    monkeypatch.setenv("KEPT", text)
    Path("kept").write_text(f"{text}\n")
    Path("others").write_text("another")
    monkeypatch.setenv(f"{name}_FILE", "others")
    FILE.write_text(
        f'[workspaces.sales]\n{key_of(name)}_{how} = "{"KEPT" if how == "env" else "kept"}"\n'
    )
    settings = load_workspace("sales")
    assert getattr(settings, field).get_secret_value() == text
    assert SECRET not in f"{settings!r} {settings.model_dump()}"


def test_process_of_a_workspace_is_given_its_own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a secret is named by the variable of a setting: the old account, as it was."""
    old = '[workspaces.old]\npassword_env = "DIFY_PASSWORD"\nnotify_env = "DIFY_ETL_NOTIFY"\n'
    FILE.write_text(old + SALES)
    for name in ("DIFY_PASSWORD", "DIFY_ADMIN_API_KEY", "DIFY_ETL_NOTIFY", "DIFY_ETL_UI_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    tables = all_workspaces(setting_names())
    held = {
        name: {key for key, text in environment_of(name, tables).items() if text == SECRET}
        for name in tables
    }
    shared = {"DIFY_ETL_NOTIFY", "DIFY_ETL_UI_PASSWORD"}  # settings that are everybody's
    assert held == {"old": {"DIFY_PASSWORD", *shared}, "sales": {"SALES_PASSWORD", *shared}}


def test_table_counts_before_the_environment_and_lends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Limits are everybody's; server and account are nobody else's, those of `.env` neither."""
    monkeypatch.setenv("DIFY_ETL_TIMEZONE", "Asia/Tokyo")
    monkeypatch.setenv("DIFY_ETL_LOOKBACK_DAYS", "3")
    monkeypatch.setenv("DIFY_ADMIN_API_KEY", "another")
    Path("password").write_text("another")
    ENV_FILE.write_text("DIFY_EMAIL=another@example.com\nDIFY_PASSWORD_FILE=password\n")
    FILE.write_text(
        '[workspaces.sales]\ntimezone = "Europe/Berlin"\nstart_date = 2026-01-31\n'
        '[workspaces.support]\nbase_url = "https://dify.example.com"\n'
    )
    sales = load_workspace("sales")
    assert (sales.timezone, sales.start_date) == ("Europe/Berlin", date(2026, 1, 31))
    assert (sales.lookback_days, sales.workspace) == (3, "sales")
    assert (sales.email, sales.password, sales.admin_api_key) == (None, None, None)
    assert load_workspace("support").timezone == "Asia/Tokyo"
    with pytest.raises(SettingWrong, match="email is not set") as raised:
        load_workspace("support").require_credentials()
    assert "[workspaces.support]" in raised.value.where
    assert load_settings().email == "another@example.com"  # without a workspace nothing changes


def test_each_keeps_its_files_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folders that the environment names, by its name; unless its table says where. The
    policy of key rotation is nobody else's either, and may be missing.
    """
    for name, folder in (("HOME", "data"), ("COPY", "/srv/copies"), ("EXPORTS", "/srv/apps")):
        monkeypatch.setenv(f"DIFY_ETL_{name}", folder)
    FILE.write_text('[workspaces.sales]\n[workspaces.support]\nhome = "data"\ncopy = "c"\n')
    sales, support = load_workspace("sales"), load_workspace("support")
    assert sales.home == Path("data/workspaces/sales")
    assert (sales.copy_folder, sales.export_folder) == (
        Path("/srv/copies/sales"),
        Path("/srv/apps/sales"),
    )
    assert (support.home, support.copy_folder) == (Path("data"), Path("c"))
    assert (sales.rotation_policy, sales.is_policy_named) == (Path("rotation.sales.toml"), False)
    sales.home.mkdir(parents=True)
    assert not holds_others(Home(Path("data")).path)


def test_workspace_is_chosen_as_any_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is given, the environment or `.env`; the file by its variable."""
    Path("elsewhere.toml").write_text('[workspaces.a]\nperson = "app"\n[workspaces.b]\n')
    ENV_FILE.write_text("DIFY_ETL_WORKSPACES=elsewhere.toml\nDIFY_ETL_WORKSPACE=a\n")
    assert list(all_workspaces(setting_names())) == ["a", "b"]
    assert load_settings().person == "app"
    monkeypatch.setenv("DIFY_ETL_WORKSPACE", "b")
    assert load_settings().person == "workspace"
    assert load_settings(DIFY_ETL_WORKSPACE="a", DIFY_ETL_PERSON="workspace").person == "workspace"


def test_a_word_on_the_command_line_counts_more_than_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """--simulated never goes to a server, whatever a table says."""
    FILE.write_text("[workspaces.sales]\nsimulated = false\n")
    monkeypatch.setenv("DIFY_ETL_SIMULATED", "true")
    assert load_workspace("sales").is_simulated


WRONG_FILES: tuple[tuple[str, str], ...] = (
    ("", "names no workspace"),
    ("[workspaces]\n", "names no workspace"),
    ("workspaces = 3\n", "names no workspace"),
    (f"[workspaces.sales]\npassword = {SECRET}\n", "no TOML, line 2, column"),
    ("[workspaces]\nsales = 3\n", "sales is no table"),
    ("[workspaces.Sales]\n", "no name of a workspace"),
    ("[workspaces.'a/../b']\n", "no name of a workspace"),
    (f"[workspaces.{'a' * 64}]\n", "no name of a workspace"),
    ('[workspaces.a]\nhome = "x"\n[workspaces.b]\nhome = "./y/../x"\n', "a and b would write"),
    ('[workspaces.a]\n[workspaces.b]\nhome = "dify_data/workspaces/a"\n', "a and b would write"),
    ('[workspaces.a]\ncopy = "x"\n[workspaces.b]\ncopy = "x"\n', "a and b would write"),
    (
        '[workspaces.a]\nbase_url = "https://D.test"\nemail = "A@b.c"\n'
        '[workspaces.b]\nbase_url = "https://d.test:443/console/api"\nemail = "a@b.c"\n',
        "which is one workspace",
    ),
    (
        '[workspaces.a]\nbase_url = "http://d.test"\nadmin_api_key_env = "K"\nworkspace_id = "w"\n'
        '[workspaces.b]\nbase_url = "http://d.test"\nadmin_api_key_env = "K"\nworkspace_id = "w"\n',
        "which is one workspace",
    ),
)


@pytest.mark.parametrize(("text", "says"), WRONG_FILES)
def test_wrong_file_is_refused(text: str, says: str) -> None:
    """Before any workspace of it is read; nothing of a line that is no TOML is shown."""
    FILE.write_text(text)
    with pytest.raises(SettingWrong, match=says) as raised:
        read_workspaces(FILE, setting_names())
    assert str(FILE.absolute()) in raised.value.where
    assert SECRET not in str(raised.value)


def test_file_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is named and not there: nobody gets today's environment in its place."""
    monkeypatch.setenv("DIFY_ETL_WORKSPACES", "gone.toml")
    with pytest.raises(SettingWrong, match="cannot be read: No such file"):
        list(all_workspaces(setting_names()))
    Path("gone.toml").write_bytes(b"\xff")
    with pytest.raises(SettingWrong, match="no UTF-8"):
        list(all_workspaces(setting_names()))
    monkeypatch.delenv("DIFY_ETL_WORKSPACES")
    monkeypatch.setenv("DIFY_ETL_WORKSPACE", "sales")
    with pytest.raises(SettingWrong, match=r"there is no workspaces\.toml"):
        load_settings()


WRONG_TABLES: tuple[tuple[str, str, str], ...] = (
    ('passwrd_env = "A"', "passwrd_env is no setting", "Did you mean 'password_env'"),
    ('DIFY_EMAIL = "a@b.c"', "no setting of a workspace", "Did you mean 'email'"),
    ('email_env = "A"', "no setting of a workspace", "Did you mean 'email'"),
    ('hosts = "etl.example.com"', "for all workspaces", "DIFY_ETL_HOSTS"),
    ('ui_password_env = "A"', "for all workspaces", "DIFY_ETL_UI_PASSWORD"),
    (f'password = "{SECRET}"', "no secret stands in this file", "password_env"),
    (f'notify = "json://{SECRET}"', "no secret stands in this file", "notify_file"),
    (f'password_env = "{SECRET}"', "is no name of a variable", "password_file"),
    ('password_env = "NOWHERE"', "set nowhere", "password_file"),
    (f'password_file = "{SECRET}"', "names no file", "password_env"),
    ("password_env = 3", "is no text", "password_env"),
    (
        'password_env = "SALES_PASSWORD"\npassword_file = "x"',
        "both password_env and",
        "one of them",
    ),
    ('home = ""', "home is empty", "remove it"),
    ('timezone = "Mars"', "timezone is wrong: 'Mars'", 'timezone = "Europe/Berlin"'),
    ("timezone = 3", "timezone is wrong", 'timezone = "Europe/Berlin"'),
    ("lookback_days = 0", "lookback_days is wrong: Input should be greater", "lookback_days = 7"),
    ("home = {a = 1}", "home is wrong", "home = "),
    (f'base_url = "https://me:{SECRET}@d.test"', "base_url is wrong", "base_url = "),
)


@pytest.mark.parametrize(("line", "what", "hint"), WRONG_TABLES)
def test_wrong_table_is_refused(line: str, what: str, hint: str) -> None:
    """With its place and what to write; no secret is quoted, and no other workspace is stopped."""
    FILE.write_text(f"[workspaces.bad]\n{line}\n{SALES}")
    with pytest.raises(SettingWrong) as raised:
        load_workspace("bad")
    assert what in raised.value.what
    assert hint in raised.value.hint
    assert raised.value.where == f"{FILE.absolute()}, [workspaces.bad]"
    assert SECRET not in str(raised.value)
    load_workspace("sales").require_credentials()


def test_value_of_the_environment_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a workspace inherits is looked for where it stands."""
    FILE.write_text(SALES)
    monkeypatch.setenv("DIFY_ETL_TEXT", "hide")
    with pytest.raises(SettingWrong, match="DIFY_ETL_TEXT is wrong") as raised:
        load_workspace("sales")
    assert raised.value.where == "environment and .env"


def test_bounds_are_those_of_all_settings() -> None:
    """One truth: what no variable may hold, no table may."""
    for name, text, _ in BAD:
        if name in SHARED or name in {row[0] for row in SECRETS}:
            continue
        FILE.write_text(f"[workspaces.sales]\n{key_of(name)} = {toml_of(text)}\n")
        with pytest.raises(SettingWrong, match=f"^{key_of(name)} is wrong: "):
            load_workspace("sales")


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("https://Dify.Example.com/console/api", "dify.example.com:443"),
        ("http://dify.example.com:80", "dify.example.com:80"),
        ("http://[::1]:5001/", "::1:5001"),
        ("no address", ":None"),
    ],
)
def test_server_is_host_and_port(address: str, server: str) -> None:
    """However the address is written: both load the same machine."""
    assert server_of(address) == server


def test_settings_of_a_workspace_are_settings() -> None:
    """Whoever takes settings takes these."""
    FILE.write_text(SALES)
    settings: Any = load_workspace("sales")
    assert isinstance(settings, Settings)
    assert settings.model_copy(update={"timezone": "Asia/Tokyo"}).workspace == "sales"


def test_home_of_an_account_is_found_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the file itself, in its tables, and before the folder that each gets by its name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DIFY_ETL_WORKSPACES", "~/all.toml")
    monkeypatch.setenv("DIFY_ETL_HOME", "~/dify")
    table = 'base_url = "https://dify.example.com"\nemail = "{0}@example.com"\n'
    (tmp_path / "all.toml").write_text(
        f'[workspaces.old]\nhome = "~/old"\n{table.format("old")}'
        f"[workspaces.new]\n{table.format('new')}"
    )
    assert load_workspace("old").home == tmp_path / "old"
    assert load_workspace("new").home == tmp_path / "dify" / "workspaces" / "new"
    folders = folders_of_others("new", all_workspaces(setting_names()))
    assert folders == {(tmp_path / "old").resolve()}


def test_folders_of_others_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those in the home that one had alone before as well; a folder of both is nobody's other."""
    monkeypatch.setenv("DIFY_ETL_EXPORTS", "dify_data/exports")
    of_server = 'base_url = "https://dify.example.com"\nemail = "{}@example.com"\n'
    FILE.write_text(
        f'[workspaces.old]\nhome = "dify_data"\n{of_server.format("old")}'
        f"[workspaces.new]\n{of_server.format('new')}"
        f'[workspaces.third]\nexports = "dify_data/exports/old"\n{of_server.format("third")}'
    )
    found = folders_of_others("old", all_workspaces(setting_names()))
    assert {str(one.relative_to(tmp_path.resolve())) for one in found} == {
        *("dify_data/workspaces/new", "dify_data/exports/new", "dify_data/workspaces/third")
    }
