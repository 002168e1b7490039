"""Settings: where they come from, what is refused, and that no secret is ever shown."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from dify_etl.setting_sources import ENV_FILE, WORKSPACE
from dify_etl.settings import DIFY_BEGINS, Settings, SettingWrong, load_settings, setting_names

SECRET = "geheim-1234"

GOOD = (
    ("DIFY_BASE_URL", "https://dify.example.com/console/api/", "base_url"),
    ("DIFY_EMAIL", "etl@example.com", "email"),
    ("DIFY_WORKSPACE_ID", "8a1c", "workspace_id"),
    ("DIFY_ETL_WORKSPACES", "/etc/dify-etl/workspaces.toml", "workspaces_file"),
    ("DIFY_ETL_HOME", "/var/lib/dify", "home"),
    ("DIFY_ETL_TIMEZONE", "Europe/Berlin", "timezone"),
    ("DIFY_ETL_START_DATE", "2026-01-01", "start_date"),
    ("DIFY_ETL_LOOKBACK_DAYS", "14", "lookback_days"),
    ("DIFY_ETL_DEEP_READ_DAYS", "0", "deep_read_days"),
    ("DIFY_ETL_COMPLETION_DETAIL", "true", "completion_detail"),
    ("DIFY_ETL_SEGMENTS", "true", "segments"),
    ("DIFY_ETL_MAX_CONCURRENCY", "4", "max_concurrency"),
    ("DIFY_ETL_REQUESTS_PER_SECOND", "2.5", "requests_per_second"),
    ("DIFY_ETL_MAX_ANSWER_MIB", "64", "max_answer_mib"),
    ("DIFY_ETL_MAX_ANSWER_SECONDS", "60", "max_answer_seconds"),
    ("DIFY_ETL_MAX_PAGES", "500", "max_pages"),
    ("DIFY_ETL_PERSON", "app", "person"),
    ("DIFY_ETL_CURRENCIES", "gpt-4o=USD, langgenius/deepseek/deepseek=RMB", "currencies"),
    ("DIFY_ETL_RATES", "/srv/rates.csv", "rates_file"),
    ("DIFY_ETL_SQL", "/srv/dify-sql", "own_sql"),
    ("DIFY_ETL_TEXT", "mask", "text"),
    ("DIFY_ETL_PEOPLE", "hash", "people"),
    ("DIFY_ETL_SCHEDULE", "@daily", "schedule"),
    ("DIFY_ETL_SIMULATED", "true", "simulated"),
    ("DIFY_ETL_LOG", "json", "log"),
    ("DIFY_ETL_HOSTS", "etl.example.com", "ui_allowed_hosts"),
    ("DIFY_ETL_COPY", "/srv/analysts", "copy_folder"),
    ("DIFY_ETL_COPY_MODE", "0640", "copy_mode"),
    ("DIFY_ETL_EXPORTS", "/srv/dify-apps", "export_folder"),
    ("DIFY_ETL_COPY_GROUP", "analysts", "copy_group"),
    ("DIFY_ETL_ROTATION_POLICY", "/etc/dify/rotation.toml", "rotation_policy"),
    ("DIFY_SERVICE_API_URL", "https://api.example.com/v1", "service_api_url"),
    ("DIFY_ETL_LAKE_PATH", "s3://lake/dify", "lake_path"),
    ("DIFY_ETL_LAKE_PATH", "/srv/lake", "lake_path"),
)
SECRETS = (
    ("DIFY_PASSWORD", SECRET, "password"),
    ("DIFY_ADMIN_API_KEY", SECRET, "admin_api_key"),
    ("DIFY_ETL_UI_PASSWORD", SECRET, "ui_password"),
    ("DIFY_TOKEN_STORE", f"redis://:{SECRET}@localhost/0", "token_store"),
    ("REDIS_URL", f"redis://:{SECRET}@localhost/0", "redis_url"),
    ("DIFY_DATABASE_URL", f"postgresql://me:{SECRET}@localhost/dify", "dify_database_url"),
    ("DIFY_ETL_DAGSTER_STORAGE", f"postgresql://me:{SECRET}@localhost/dagster", "dagster_storage"),
    ("DIFY_ETL_WAREHOUSE", f"ducklake:postgres:dbname=lake password={SECRET}", "warehouse"),
    ("DIFY_ETL_NOTIFY", f"json://localhost/{SECRET} mailto://me:{SECRET}@mail.test", "notify"),
)
BAD = (
    ("DIFY_BASE_URL", "dify.example.com", "http://"),
    ("DIFY_BASE_URL", "https://", "name a host"),
    ("DIFY_BASE_URL", f"https://me:{SECRET}@dify.example.com", "password"),
    ("DIFY_BASE_URL", "https://dify.example.com:port", "no address"),
    ("DIFY_SERVICE_API_URL", "api.example.com", "http://"),
    ("DIFY_ETL_PERSON", "tenant", "workspace"),
    ("DIFY_ETL_TEXT", "hide", "mask"),
    ("DIFY_ETL_PEOPLE", "drop", "hash"),
    ("DIFY_ETL_CURRENCIES", "gpt-4o", "model=CURRENCY"),
    ("DIFY_ETL_CURRENCIES", "gpt-4o=dollar", "three letters"),
    ("DIFY_ETL_COPY_MODE", "0666", "only read"),
    ("DIFY_ETL_COPY_MODE", "u=rw", "only read"),
    ("DIFY_ETL_COPY_MODE", "4755", "only read"),
    ("DIFY_SERVICE_API_URL", f"https://me:{SECRET}@api.example.com", "password"),
    ("DIFY_TOKEN_STORE", f"mysql://:{SECRET}@localhost", "memory, file"),
    ("REDIS_URL", f"http://:{SECRET}@localhost", "redis://"),
    ("DIFY_ETL_TIMEZONE", "Mars/Olympus", "no time zone"),
    ("DIFY_ETL_TIMEZONE", "../etc/passwd", "no time zone"),
    ("DIFY_ETL_START_DATE", "yesterday", "date"),
    ("DIFY_ETL_START_DATE", (date.today() + timedelta(days=9)).isoformat(), "future"),
    ("DIFY_ETL_LOOKBACK_DAYS", "0", "greater than or equal to 1"),
    ("DIFY_ETL_LOOKBACK_DAYS", "a week", "integer"),
    ("DIFY_ETL_DEEP_READ_DAYS", "-1", "greater than or equal to 0"),
    ("DIFY_ETL_COMPLETION_DETAIL", "perhaps", "boolean"),
    ("DIFY_ETL_SEGMENTS", "some", "boolean"),
    ("DIFY_ETL_MAX_CONCURRENCY", "1000", "less than or equal to 64"),
    ("DIFY_ETL_MAX_ANSWER_MIB", "0", "greater than or equal to 1"),
    ("DIFY_ETL_SCHEDULE", "every night", "cron"),
    ("DIFY_ETL_NOTIFY", f"json://localhost {SECRET}", "URL 2 of it"),
    ("DIFY_ETL_LOG", "xml", "json"),
    ("DIFY_ETL_WAREHOUSE", f"postgres:dbname=lake password={SECRET}", "neither a DuckDB file"),
    ("DIFY_ETL_WAREHOUSE", f"postgresql://me:{SECRET}@localhost/lake", "neither a DuckDB file"),
    ("DIFY_ETL_WAREHOUSE", f"ducklake:mysql:password={SECRET}", "behind ducklake:"),
    ("DIFY_ETL_WAREHOUSE", "ducklake:", "behind ducklake:"),
    ("DIFY_ETL_WAREHOUSE", "/srv/dify/", "names no file"),
    ("DIFY_ETL_LAKE_PATH", f"s3://lake/dify?s3_secret_access_key={SECRET}", "no keys"),
    ("DIFY_ETL_LAKE_PATH", "https://lake.example.com", "neither a folder"),
    ("DIFY_DATABASE_URL", f"mysql+pymysql://me:{SECRET}@localhost/dify", "MySQL is not read"),
    ("DIFY_DATABASE_URL", f"postgresql://me:{SECRET}@localhost", "name a database"),
    ("DIFY_DATABASE_URL", f"redis://me:{SECRET}@localhost/0", "postgresql://"),
    ("DIFY_ETL_DAGSTER_STORAGE", f"mysql://me:{SECRET}@localhost/dagster", "postgresql://"),
    ("DIFY_ETL_DAGSTER_STORAGE", f"postgresql://me:{SECRET}@localhost", "name a database"),
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no variable of whoever runs the tests."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "text", "field"), GOOD)
def test_variable_reaches_its_field(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, field: str
) -> None:
    """Each variable sets the field that the code reads, and nothing else."""
    defaults = load_settings()
    monkeypatch.setenv(name, text)
    changed = load_settings()
    fields = Settings.model_fields
    assert [one for one in fields if getattr(changed, one) != getattr(defaults, one)] == [field]


@pytest.mark.parametrize(("name", "text", "field"), SECRETS)
def test_secret_is_kept_but_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, field: str
) -> None:
    """A secret can be asked for, but stands in no repr, text or dump."""
    monkeypatch.setenv(name, text)
    settings = load_settings()
    kept = getattr(settings, field)
    assert isinstance(kept, SecretStr)
    assert kept.get_secret_value() == text
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"
    assert SECRET not in settings.model_dump_json()


@pytest.mark.parametrize(("name", "text", "says"), BAD)
def test_bad_value_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, says: str
) -> None:
    """The error names variable, reason, places looked at and an example; never a secret."""
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingWrong) as caught:
        load_settings()
    assert caught.value.what.startswith(f"{name} is wrong: ")
    assert says in caught.value.what
    assert caught.value.where == "environment and .env"
    assert f"{name}=" in caught.value.hint
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def paths_of(settings: Settings) -> dict[str, str]:
    """Variable -> path, of every setting that may name one."""
    held = {
        str(field.validation_alias): getattr(settings, key)
        for key, field in Settings.model_fields.items()
    }
    return {
        name: one.get_secret_value() if isinstance(one, SecretStr) else str(one)
        for name, one in held.items()
        if name in PLACES
    }


PLACES = {
    "DIFY_ETL_WORKSPACES": "{}/workspaces.toml",
    "DIFY_ETL_HOME": "{}/dify home",
    "DIFY_ETL_RATES": "{}/rates.csv",
    "DIFY_ETL_SQL": "{}/sql",
    "DIFY_ETL_ROTATION_POLICY": "{}/rotation.toml",
    "DIFY_ETL_COPY": "{}",
    "DIFY_ETL_EXPORTS": "{}/exports",
    "DIFY_ETL_LAKE_PATH": "{}/lake",
    "DIFY_ETL_WAREHOUSE": "ducklake:sqlite:{}/catalog.sqlite",
    "DIFY_TOKEN_STORE": "file:{}/session.json",
}


def test_home_of_an_account_is_found_in_every_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No shell has read `.env`: a ~ in it would become a folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    fields = setting_names()
    assert {one for one in fields if "Path" in str(fields[one].annotation)} <= set(PLACES)
    ENV_FILE.write_text("".join(f"{name}='{one.format('~')}'\n" for name, one in PLACES.items()))
    expected = {name: one.format(tmp_path) for name, one in PLACES.items()}
    assert paths_of(load_settings()) == expected


@pytest.mark.parametrize("name", ["DIFY_ETL_HOME", "DIFY_ETL_LAKE_PATH"])
def test_home_of_nobody_is_no_folder(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An account that this machine does not know; a ~ elsewhere is a name like any other."""
    monkeypatch.setenv(name, "data/~old")
    assert paths_of(load_settings())[name] == "data/~old"
    monkeypatch.setenv(name, "~no-such-account/dify")
    with pytest.raises(SettingWrong, match="account that this machine does not know"):
        load_settings()


@pytest.mark.parametrize("name", sorted(setting_names()))
def test_setting_has_its_manual(name: str) -> None:
    """Every setting has a sentence and an example, and the example is a good value."""
    field = setting_names()[name]
    assert field.description
    assert field.description.endswith(".")
    assert field.examples
    Path("workspaces.toml").write_text("[workspaces.sales]")  # of which one may be named
    load_settings(**{name: field.examples[0]})


def test_table_names_every_setting() -> None:
    """The tables of this test leave no setting out; a workspace changes more than its field, and
    has tests of its own.
    """
    named = {row[0] for row in (*GOOD, *SECRETS)}
    assert named | {WORKSPACE} == set(setting_names())


def test_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` of the working folder fills what the environment leaves open."""
    Path(".env").write_text("DIFY_EMAIL=file@example.com\nDIFY_PASSWORD='a #\"b'\nOTHER=1\n")
    monkeypatch.setenv("DIFY_EMAIL", "environment@example.com")
    settings = load_settings()
    assert settings.email == "environment@example.com"
    assert settings.password == SecretStr('a #"b')


@pytest.mark.parametrize(("name", "text", "field"), SECRETS)
def test_secret_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, field: str
) -> None:
    """As containers hand secrets out; the editor's last line break is no part of it. Where the
    value is set as well, or the file holds none, nothing is guessed and nothing of it is shown.
    """
    file = tmp_path / "secret"
    file.write_text(f"{text}\n")
    monkeypatch.setenv(f"{name}_FILE", str(file))
    assert getattr(load_settings(), field).get_secret_value() == text
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingWrong, match="both") as raised:
        load_settings()
    assert text not in str(raised.value)
    monkeypatch.delenv(name)
    file.write_text("\n")
    with pytest.raises(SettingWrong, match="is empty"):
        load_settings()
    file.unlink()
    with pytest.raises(SettingWrong, match="names no file") as raised:
        load_settings()
    assert raised.value.where == f"{name}_FILE"  # not what stands there: it may be the secret
    file.write_bytes(b"\xff")
    with pytest.raises(SettingWrong, match="no UTF-8 text"):
        load_settings()


@pytest.mark.parametrize("folder", ["{}", "~"])
def test_file_of_a_secret_may_be_named_in_env(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
) -> None:
    """In `.env` as anywhere else."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret").write_text("swordfish")
    ENV_FILE.write_text(f"DIFY_PASSWORD_FILE={folder.format(tmp_path)}/secret\n")
    password = load_settings().password
    assert password is not None
    assert password.get_secret_value() == "swordfish"


def test_alerts_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Apprise a target is refused, with what installs it; nothing else misses it."""
    monkeypatch.setattr("dify_etl.setting_values.find_spec", lambda name: None)
    load_settings()
    monkeypatch.setenv("DIFY_ETL_NOTIFY", f"slack://{SECRET}")
    with pytest.raises(SettingWrong, match=r"install 'apprise>=1.9,<3'") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """DIFY_BASE_URL= is how a shell turns the server off; that alone simulates none."""
    monkeypatch.setenv("DIFY_BASE_URL", "")
    settings = load_settings()
    assert settings.base_url is None
    assert not settings.is_simulated
    assert settings.start_date == DIFY_BEGINS


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"A=1\nno setting\n", "line 2 of .env"), (b"\xff\xfe", "UTF-8"), (None, "cannot be read")],
    ids=["line", "encoding", "folder"],
)
def test_broken_env_file_is_refused(content: bytes | None, says: str) -> None:
    """A line that would be skipped in silence is an error that names the file."""
    path = Path(".env")
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(SettingWrong, match=says) as caught:
        load_settings()
    assert caught.value.where == str(path.resolve())


MISSING = (
    ({"DIFY_BASE_URL": "https://d"}, "DIFY_EMAIL"),
    ({"DIFY_BASE_URL": "https://d", "DIFY_EMAIL": "a@b.c"}, "DIFY_PASSWORD"),
    ({"DIFY_BASE_URL": "https://d", "DIFY_ADMIN_API_KEY": "k"}, "DIFY_WORKSPACE_ID"),
    ({"DIFY_EMAIL": "a@b.c", "DIFY_PASSWORD": "p"}, "DIFY_BASE_URL"),
)


@pytest.mark.parametrize(("given", "missing"), MISSING, ids=lambda one: str(one)[:40])
def test_missing_credential_is_named(given: dict[str, str], missing: str) -> None:
    """The first missing one is named, with an example and the other way to sign in."""
    with pytest.raises(SettingWrong) as caught:
        load_settings(**given).require_credentials()
    assert caught.value.what.startswith(f"{missing} is not set")
    assert f"{missing}=" in caught.value.hint
    other = "--simulated" if missing == "DIFY_BASE_URL" else "DIFY_ADMIN_API_KEY and DIFY_WORKSPACE"
    assert other in caught.value.hint


@pytest.mark.parametrize(
    "given",
    [
        {"DIFY_EMAIL": "a@b.c", "DIFY_PASSWORD": "p"},
        {"DIFY_ADMIN_API_KEY": "k", "DIFY_WORKSPACE_ID": "w"},
    ],
    ids=["account", "admin key"],
)
def test_either_way_to_sign_in_is_enough(given: dict[str, str]) -> None:
    """E-mail and password, or admin key and workspace."""
    settings = load_settings(DIFY_BASE_URL="https://dify.example.com", **given)
    settings.require_credentials()
    assert not settings.is_simulated
