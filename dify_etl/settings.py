"""Every setting, from the environment or `.env`, in one class; one clear error when wrong."""

import grp
import os
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from dify_etl.home import Access, Home
from dify_etl.setting_sources import (
    ENV_FILE,
    OF_ONE_DIFY,
    WORKSPACE,
    WORKSPACES,
    SecretFiles,
    WithoutSome,
    held_in_env_file,
    is_secret,
)
from dify_etl.setting_sources import SettingWrong as SettingWrong
from dify_etl.setting_values import (
    Cron,
    Currencies,
    DagsterDatabase,
    DifyDatabaseUrl,
    FileMode,
    FilePath,
    Hosts,
    LakePath,
    NotifyUrls,
    PastDay,
    RedisUrl,
    SharedTarget,
    TokenStorePlace,
    Url,
    Zone,
)
from dify_etl.suggestions import did_you_mean
from dify_etl.time_zones import zone_of

if TYPE_CHECKING:
    from dify_etl.workspaces import WorkspaceTable

# Dify's first release: nothing in any workspace is older, so the default reads everything.
DIFY_BEGINS = date(2023, 5, 15)
PREFIX = "DIFY_ETL_"  # of variables that no other program has
ROTATION_POLICY = "DIFY_ETL_ROTATION_POLICY"


def _gid(text: str) -> int:
    try:
        return int(text) if text.isdecimal() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise SettingWrong(
            f"DIFY_ETL_COPY_GROUP is wrong: this machine knows no group {text!r}",
            where="environment and .env",
            hint="Set it to a group of this machine, by name or number, or leave it out.",
        ) from None


class Settings(BaseSettings):
    """The settings; a field's alias is its variable, its description and example its manual."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    base_url: Url | None = Field(
        None,
        validation_alias="DIFY_BASE_URL",
        description="Your Dify's address, with or without /console/api.",
        examples=["https://dify.example.com"],
    )
    simulated: bool = Field(
        False,
        validation_alias="DIFY_ETL_SIMULATED",
        description="Use the simulated Dify, whatever server is named; as --simulated does.",
        examples=["true"],
    )
    email: str | None = Field(
        None,
        validation_alias="DIFY_EMAIL",
        description="E-mail of the account that reads; an editor sees logs, an owner all datasets.",
        examples=["etl@example.com"],
    )
    password: SecretStr | None = Field(
        None,
        validation_alias="DIFY_PASSWORD",
        description="Its password.",
        examples=["the account's password"],
    )
    admin_api_key: SecretStr | None = Field(
        None,
        validation_alias="DIFY_ADMIN_API_KEY",
        description="Instead of e-mail and password: the server's admin API key.",
        examples=["the server's ADMIN_API_KEY"],
    )
    workspace_id: str | None = Field(
        None,
        validation_alias="DIFY_WORKSPACE_ID",
        description="The workspace to read with the admin API key.",
        examples=["8a1c…-uuid-of-the-workspace"],
    )
    workspaces_file: FilePath | None = Field(
        None,
        validation_alias=WORKSPACES,
        description="The file that names several workspaces; unset: workspaces.toml in the folder "
        "in which a command runs, if it is there.",
        examples=["/etc/dify-etl/workspaces.toml"],
    )
    workspace: str | None = Field(
        None,
        validation_alias=WORKSPACE,
        description="Which workspace of that file is meant; as --workspace does.",
        examples=["sales"],
    )
    token_store: TokenStorePlace | None = Field(
        None,
        validation_alias="DIFY_TOKEN_STORE",
        description="Where the session is kept: memory, file or redis://…; "
        "unset: Redis when REDIS_URL is set, else a file of mode 0600 in the home.",
        examples=["file"],
    )
    redis_url: RedisUrl | None = Field(
        None,
        validation_alias="REDIS_URL",
        description="A Redis for the session, when DIFY_TOKEN_STORE is unset.",
        examples=["redis://localhost:6379/0"],
    )
    home: FilePath = Field(
        Path("dify_data"),
        validation_alias="DIFY_ETL_HOME",
        description="Folder of the DuckDB files, the session and the lock.",
        examples=["./dify_data"],
    )
    timezone: Zone = Field(
        "UTC",
        validation_alias="DIFY_ETL_TIMEZONE",
        description="Zone of all local days; must equal the account's zone in Dify.",
        examples=["Europe/Berlin"],
    )
    start_date: PastDay = Field(
        DIFY_BEGINS,
        validation_alias="DIFY_ETL_START_DATE",
        description="First local day to load; the default is older than any Dify.",
        examples=["2026-01-01"],
    )
    lookback_days: int = Field(
        7,
        ge=1,
        le=366,
        validation_alias="DIFY_ETL_LOOKBACK_DAYS",
        description="Days before today that every night reads again.",
        examples=["7"],
    )
    deep_read_days: int = Field(
        28,
        ge=0,
        le=366,
        validation_alias="DIFY_ETL_DEEP_READ_DAYS",
        description="Nights in which all history is listed once more; 0 turns it off.",
        examples=["28"],
    )
    completion_detail: bool = Field(
        False,
        validation_alias="DIFY_ETL_COMPLETION_DETAIL",
        description="Read tokens and latency of every completion log; marks them as read in Dify.",
        examples=["false"],
    )
    segments: bool = Field(
        False,
        validation_alias="DIFY_ETL_SEGMENTS",
        description="Read the segments of documents, too: a request or more per document the first "
        "time, later for those that changed and one part of the others each night.",
        examples=["false"],
    )
    dify_database_url: DifyDatabaseUrl | None = Field(
        None,
        validation_alias="DIFY_DATABASE_URL",
        description="Dify's own PostgreSQL, for a role that may only read: conversations, messages "
        "and runs come from it, and no longer through the console API. Needs the extra `database`.",
        examples=["postgresql://dify_etl:password@localhost:5432/dify"],
    )
    max_concurrency: int = Field(
        8,
        ge=1,
        le=64,
        validation_alias="DIFY_ETL_MAX_CONCURRENCY",
        description="Most requests at once; the sync adapts below it.",
        examples=["8"],
    )
    requests_per_second: float | None = Field(
        None,
        gt=0,
        validation_alias="DIFY_ETL_REQUESTS_PER_SECOND",
        description="Most requests per second; unset: only the concurrency is limited.",
        examples=["5"],
    )
    max_answer_mib: int = Field(
        256,
        ge=1,
        validation_alias="DIFY_ETL_MAX_ANSWER_MIB",
        description="Longest answer that is taken, in MiB after decompression.",
        examples=["256"],
    )
    max_answer_seconds: float = Field(
        900,
        gt=0,
        validation_alias="DIFY_ETL_MAX_ANSWER_SECONDS",
        description="Longest time from a request to the last byte of its answer, headers included.",
        examples=["900"],
    )
    max_pages: int = Field(
        100_000,
        ge=1,
        validation_alias="DIFY_ETL_MAX_PAGES",
        description="Most pages of one list.",
        examples=["100000"],
    )
    person: Literal["workspace", "app"] = Field(
        "workspace",
        validation_alias="DIFY_ETL_PERSON",
        description="Whether callers of equal name in two apps are one person (workspace) or two "
        "(app).",
        examples=["workspace"],
    )
    currencies: Currencies = Field(
        "",
        validation_alias="DIFY_ETL_CURRENCIES",
        description="In which currency a model, or all of a provider, is charged, where no price "
        "that Dify shows tells it.",
        examples=["deepseek=RMB,gpt-4o=USD"],
    )
    rates_file: FilePath | None = Field(
        None,
        validation_alias="DIFY_ETL_RATES",
        description="A CSV of day,from,to,rate by which marts.costs converts prices as well.",
        examples=["rates.csv"],
    )
    text: Literal["keep", "mask", "drop"] = Field(
        "keep",
        validation_alias="DIFY_ETL_TEXT",
        description="What is kept of questions, answers, inputs, outputs, prompts, comments, tool "
        "inputs and citations: all (keep); all but e-mail addresses, phone numbers, numbers of "
        "cards, accounts and national ids, and keys (mask); nothing (drop).",
        examples=["mask"],
    )
    people: Literal["keep", "hash"] = Field(
        "keep",
        validation_alias="DIFY_ETL_PEOPLE",
        description="Whether names, e-mail addresses and session ids of people are kept, or "
        "pseudonyms that can be joined stand for them (hash).",
        examples=["hash"],
    )
    own_sql: FilePath | None = Field(
        None,
        validation_alias="DIFY_ETL_SQL",
        description="Folder of models of your own: SQL files in marts, staging and exports below "
        "it; those that lie in it directly are marts.",
        examples=["/srv/dify-sql"],
    )
    schedule: Cron = Field(
        "30 1 * * *",
        validation_alias="DIFY_ETL_SCHEDULE",
        description="When the nightly sync runs, cron, in DIFY_ETL_TIMEZONE.",
        examples=["30 1 * * *"],
    )

    rotation_policy: FilePath = Field(
        Path("rotation.toml"),
        validation_alias=ROTATION_POLICY,
        description="The policy by which API keys are rotated.",
        examples=["rotation.toml"],
    )
    service_api_url: Url | None = Field(
        None,
        validation_alias="DIFY_SERVICE_API_URL",
        description="Address of the service API, where new keys are tried, if it is on another "
        "host than the console.",
        examples=["https://api.dify.example.com/v1"],
    )

    copy_folder: FilePath | None = Field(
        None,
        validation_alias="DIFY_ETL_COPY",
        description="Folder of dify.duckdb, the copy for analysts; unset: the home.",
        examples=["/srv/analysts"],
    )
    copy_mode: FileMode | None = Field(
        None,
        validation_alias="DIFY_ETL_COPY_MODE",
        description="Mode of that copy; unset: 0600, or 0640 with DIFY_ETL_COPY_GROUP.",
        examples=["0640"],
    )
    copy_group: str | None = Field(
        None,
        validation_alias="DIFY_ETL_COPY_GROUP",
        description="Group of that copy, by name or number; its members may read it.",
        examples=["analysts"],
    )
    warehouse: SharedTarget | None = Field(
        None,
        validation_alias="DIFY_ETL_WAREHOUSE",
        description="A shared warehouse, into which every publication of this home is brought as "
        "well, beside other workspaces: a DuckDB file, or a DuckLake with its catalog in "
        "PostgreSQL, SQLite or a DuckDB file. Unset: there is none.",
        examples=["ducklake:postgres:dbname=lake host=localhost user=dify_etl"],
    )
    lake_path: LakePath | None = Field(
        None,
        validation_alias="DIFY_ETL_LAKE_PATH",
        description="Where that DuckLake keeps its Parquet files: a folder, or an address of "
        "s3://, gs:// or az://; unset: where its catalog says.",
        examples=["s3://company-lake/dify"],
    )
    export_folder: FilePath | None = Field(
        None,
        validation_alias="DIFY_ETL_EXPORTS",
        description="Folder into which the Dagster job export_apps writes; unset: exports in the "
        "home.",
        examples=["/srv/dify-apps"],
    )
    notify: NotifyUrls | None = Field(
        None,
        validation_alias="DIFY_ETL_NOTIFY",
        description="Where alerts go: URLs of Apprise, with blanks between them; needs the extra "
        "`notify`.",
        examples=["mailto://etl:password@mail.example.com?to=ops@example.com"],
    )
    ui_allowed_hosts: Hosts = Field(
        "",
        validation_alias="DIFY_ETL_HOSTS",
        description="Names beside localhost under which the Dagster UI may be reached, with commas "
        "between them.",
        examples=["etl.example.com"],
    )
    ui_password: SecretStr | None = Field(
        None,
        validation_alias="DIFY_ETL_UI_PASSWORD",
        description="What everybody has to give who opens the Dagster UI; needed by --host.",
        examples=["a long password"],
    )

    dagster_storage: DagsterDatabase | None = Field(
        None,
        validation_alias="DIFY_ETL_DAGSTER_STORAGE",
        description="A PostgreSQL in which Dagster keeps runs and events; unset: SQLite files. "
        "Needs the extra `postgres`.",
        examples=["postgresql://dagster:password@localhost:5432/dagster"],
    )
    log: Literal["text", "json"] | None = Field(
        None,
        validation_alias="DIFY_ETL_LOG",
        description="What sync, serve and dev say of themselves: lines for people (text), or a "
        "JSON object per line (json); unset: json for serve, else text.",
        examples=["json"],
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was given, the environment, `.env`, and files of secrets that these name."""
        named = (init_settings, env_settings, dotenv_settings)
        return (*named, SecretFiles(settings_cls, named))

    @property
    def notify_urls(self) -> tuple[str, ...]:
        """The URLs that alerts are sent to; each is a secret."""
        return tuple(self.notify.get_secret_value().split()) if self.notify else ()

    @cached_property
    def ui_hosts(self) -> tuple[str, ...]:
        """Names beside loopback under which the Dagster UI may be reached."""
        return tuple(name.strip() for name in self.ui_allowed_hosts.split(",") if name.strip())

    @cached_property
    def currency_of_models(self) -> tuple[tuple[str, str], ...]:
        """Name of a model or provider, and its currency; of two for one name the last counts."""
        pairs = (part.split("=") for part in self.currencies.split(",") if part.strip())
        return tuple({name.strip(): code.strip() for name, code in pairs}.items())

    @cached_property
    def is_simulated(self) -> bool:
        """Whether it was told that the simulated Dify stands in for a server."""
        return self.simulated

    @cached_property
    def copy_access(self) -> Access:
        """Who may read the copy. SettingWrong when this machine knows no such group."""
        gid = None if self.copy_group is None else _gid(self.copy_group)
        default = 0o600 if gid is None else 0o640
        return Access(int(self.copy_mode, 8) if self.copy_mode else default, gid)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of all local days."""
        return zone_of(self.timezone)

    @property
    def is_policy_named(self) -> bool:
        """Whether somebody set the policy of key rotation: then its file has to be there."""
        return "rotation_policy" in self.model_fields_set

    def require_credentials(self) -> None:
        """SettingWrong unless there is e-mail and password, or admin key and workspace."""
        missing = self.missing_credential()
        if missing == "DIFY_BASE_URL":
            raise SettingWrong(
                "DIFY_BASE_URL is not set, so there is no Dify to ask",
                where=f"environment and {ENV_FILE.absolute()}",
                hint=f"Set it, for example DIFY_BASE_URL={example_of(missing)}; a schedule has "
                "neither the environment nor the folder of your shell. To look at a simulated "
                "Dify: --simulated, or DIFY_ETL_SIMULATED=true.",
            )
        if missing:
            raise SettingWrong(
                f"{missing} is not set",
                where="environment and .env",
                hint=f"Set it, for example {missing}={example_of(missing)}. "
                "Either DIFY_EMAIL and DIFY_PASSWORD, or DIFY_ADMIN_API_KEY and DIFY_WORKSPACE_ID.",
            )

    def missing_credential(self) -> str | None:
        """The first variable that is missing of server and account."""
        if self.base_url is None:
            return "DIFY_BASE_URL"
        if self.admin_api_key:
            return None if self.workspace_id else "DIFY_WORKSPACE_ID"
        if self.email is None:
            return "DIFY_EMAIL"
        return None if self.password else "DIFY_PASSWORD"


class WorkspaceSettings(Settings):
    """The settings of one workspace of workspaces.toml: no other one's server and account."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The table and what was given, then what workspaces share."""
        around = (
            WithoutSome(settings_cls, env_settings, OF_ONE_DIFY),
            WithoutSome(settings_cls, dotenv_settings, OF_ONE_DIFY),
        )
        left_out = {*OF_ONE_DIFY, *init_settings()}
        return (init_settings, *around, SecretFiles(settings_cls, around, left_out))

    @property
    def is_policy_named(self) -> bool:
        """Whether its table names one: the file that each may have by default may be missing."""
        return self.rotation_policy != self._table.places[ROTATION_POLICY]

    def require_credentials(self) -> None:
        """SettingWrong unless the workspace's table has server and account."""
        if missing := self.missing_credential():
            raise self._table.missing(missing)

    @property
    def _table(self) -> "WorkspaceTable":
        from dify_etl.workspaces import table_named

        return table_named(self.workspace or "", setting_names())


def setting_names() -> Mapping[str, Any]:
    """Variable name -> field, in the order of the class."""
    return {str(field.validation_alias): field for field in Settings.model_fields.values()}


def secret_file_names() -> tuple[str, ...]:
    """The variables that name the file of a secret setting."""
    return tuple(f"{name}_FILE" for name, field in setting_names().items() if is_secret(field))


def load_settings(**overrides: Any) -> Settings:
    """The settings; SettingWrong names the first bad one, where it was looked for, an example."""
    in_env_file = _require_known()
    name = overrides.get(WORKSPACE) or os.environ.get(WORKSPACE) or in_env_file.get(WORKSPACE)
    if name:
        return _load_workspace(name, overrides)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise _value_wrong(*_first_mistake(error)) from None


def _load_workspace(name: str, given: Mapping[str, Any]) -> Settings:
    """What was given, the workspace's table, and then of environment and `.env` what all share."""
    from dify_etl.workspaces import table_named  # nobody else needs it

    table = table_named(name, setting_names())
    values = table.values
    try:
        return WorkspaceSettings(**{**values, **given, WORKSPACE: name})
    except ValidationError as error:
        variable, reason = _first_mistake(error)
        is_of_table = variable in values and variable not in given
        wrong = table.mistake if is_of_table else _value_wrong
        raise wrong(variable, reason) from None


def _first_mistake(error: ValidationError) -> tuple[str, str]:
    """The first variable that is wrong, and why; never what it holds."""
    first = error.errors(include_input=False, include_url=False)[0]
    return str(first["loc"][0]), first["msg"].removeprefix("Value error, ")


def _value_wrong(name: str, reason: str) -> SettingWrong:
    """The error of a variable whose value cannot be."""
    return SettingWrong(
        f"{name} is wrong: {reason}",
        where="environment and .env",
        hint=f"Set it, for example {name}={example_of(name)}.",
    )


def _require_known() -> dict[str, str]:
    """What `.env` sets. SettingWrong for a variable of ours that is none: a typing error would
    leave a default in its place, for DIFY_ETL_TEXT that all texts are kept.
    """
    names = setting_names()
    known = {*names, *secret_file_names()}
    in_env_file = held_in_env_file()
    for place, held in (("environment", os.environ), (str(ENV_FILE.resolve()), in_env_file)):
        for name in sorted(held):
            if name.startswith(PREFIX) and name not in known:
                raise SettingWrong(
                    f"{name} is no setting",
                    where=place,
                    hint=f"{did_you_mean(name, known)}Correct the name, or remove it.",
                )
    return in_env_file


def example_of(name: str) -> str:
    """A value that a setting may have."""
    field = setting_names().get(name)
    return str(field.examples[0]) if field is not None and field.examples else "…"


def home_of(settings: Settings) -> Path:
    """Where the files are: the simulated Dify has a home of its own, so that data never mix."""
    return Home(settings.home).demo if settings.is_simulated else settings.home


def copy_folder_of(settings: Settings) -> Path:
    """Where the copy for analysts stands; a demo's stays in its home."""
    is_elsewhere = settings.copy_folder is not None and not settings.is_simulated
    folder = settings.copy_folder if is_elsewhere else None
    return folder or home_of(settings)
