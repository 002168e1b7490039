"""`workspaces.toml`: several workspaces, each by the settings that it has of its own.

    [workspaces.sales]
    base_url = "https://dify.example.com"
    email = "etl-sales@example.com"
    password_file = "/run/secrets/sales"

A key is the name of a setting in lower case without its prefix; a secret is named by the variable
(`password_env`) or the file (`password_file`) that holds it. A workspace's table counts before the
environment. What belongs to one Dify is never taken from the environment: the password of one
server is not sent to another one because a line is missing.

Names, bounds and secrets are those of the settings, which are handed in here as `fields`: variable
to field.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic.fields import FieldInfo

from dify_etl.home import WORKSPACES_FOLDER
from dify_etl.setting_sources import (
    OF_ONE_DIFY,
    WORKSPACE,
    WORKSPACES,
    SettingWrong,
    is_secret,
    text_around,
    text_of_secret,
)
from dify_etl.suggestions import did_you_mean

FILE = Path("workspaces.toml")
TABLES = "workspaces"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
SIMULATED_SERVER = "simulated"

# What belongs to all of them: one UI, one log, this file.
SHARED = frozenset(
    {
        "DIFY_ETL_HOSTS",
        "DIFY_ETL_UI_PASSWORD",
        "DIFY_ETL_DAGSTER_STORAGE",
        "DIFY_ETL_LOG",
        WORKSPACE,
        WORKSPACES,
    }
)
_HOME, _COPY, _EXPORTS = "DIFY_ETL_HOME", "DIFY_ETL_COPY", "DIFY_ETL_EXPORTS"
_POLICY, _SIMULATED = "DIFY_ETL_ROTATION_POLICY", "DIFY_ETL_SIMULATED"


def key_of(variable: str) -> str:
    """The key of a setting in a workspace's table: `timezone` of DIFY_ETL_TIMEZONE."""
    return variable.removeprefix("DIFY_ETL_").removeprefix("DIFY_").lower()


@dataclass(frozen=True)
class WorkspaceTable:
    """A table of the file: what one workspace has of its own, not yet looked at."""

    name: str
    path: Path
    held: Mapping[str, Any]
    fields: Mapping[str, FieldInfo]

    @property
    def where(self) -> str:
        """The place that errors name."""
        return f"{self.path.absolute()}, [{TABLES}.{self.name}]"

    @property
    def server(self) -> str:
        """Which server it names, as `server_of` has it; the simulated Dify without one."""
        address = self.held.get("base_url")
        is_server = isinstance(address, str) and self.held.get("simulated") is not True
        return server_of(str(address)) if is_server else SIMULATED_SERVER

    @property
    def secret_variables(self) -> Iterator[str]:
        """The variables that hold its secrets; settings are everybody's, but those of one Dify."""
        known = self._keys
        for spelled, value in self.held.items():
            is_named = _split(spelled, known)[1] == "env" and isinstance(value, str)
            if is_named and (value in OF_ONE_DIFY or value not in self.fields):
                yield value

    @cached_property
    def values(self) -> dict[str, Any]:
        """Variable -> value, of the table and of what follows from the workspace's name.

        SettingWrong: an unknown key, a secret in plain, a variable or file of one that holds none.
        """
        known = self._keys
        values: dict[str, Any] = {}
        for spelled, value in self.held.items():
            key, how = _split(spelled, known)
            if key not in known or (how and not is_secret(self.fields[known[key]])):
                raise self._unknown(spelled)
            variable = known[key]
            if is_secret(self.fields[variable]) and how is None:
                raise self._in_plain(key)
            if value == "":
                raise SettingWrong(
                    f"{spelled} is empty", where=self.where, hint="Give it a value, or remove it."
                )
            if variable in values:
                raise SettingWrong(
                    f"both {key}_env and {key}_file are set",
                    where=self.where,
                    hint="Leave one of them out.",
                )
            values[variable] = value if how is None else self._secret(spelled, how, value)
        if values.get(_SIMULATED) is False:
            del values[_SIMULATED]  # --simulated counts, whatever a table says
        return {**self.places, **values}

    @cached_property
    def places(self) -> dict[str, Path]:
        """Variable -> where a workspace of this name keeps what no other may touch: in the folders
        that the environment names, each has one of its name.
        """
        home = Path(text_around(_HOME) or self.fields[_HOME].default)
        policy = Path(text_around(_POLICY) or self.fields[_POLICY].default)
        found = {
            _HOME: home / WORKSPACES_FOLDER / self.name,
            _POLICY: policy.with_name(f"{policy.stem}.{self.name}{policy.suffix}"),
        }
        for variable in (_COPY, _EXPORTS):
            if folder := text_around(variable):
                found[variable] = Path(folder) / self.name
        return found

    @cached_property
    def _keys(self) -> dict[str, str]:
        """Key -> variable, of what a table may hold."""
        return {key_of(name): name for name in self.fields if name not in SHARED}

    def mistake(self, variable: str, reason: str) -> SettingWrong:
        """The error of a value of this table."""
        return SettingWrong(
            f"{key_of(variable)} is wrong: {reason}",
            where=self.where,
            hint=f"Set it, for example {self._line(variable)}.",
        )

    def missing(self, variable: str) -> SettingWrong:
        """The error of a table without server or account."""
        return SettingWrong(
            f"{key_of(variable)} is not set; no other workspace's is taken",
            where=self.where,
            hint=f"Set it there, for example {self._line(variable)}. Either email and a password, "
            "or an admin API key and workspace_id.",
        )

    def _line(self, variable: str) -> str:
        """A line of a table that sets this."""
        key, field = key_of(variable), self.fields[variable]
        if is_secret(field):
            return f'{key}_env = "SALES_{key.upper()}" or {key}_file = "/run/secrets/sales"'
        example = str((field.examples or ["…"])[0])
        is_plain = re.fullmatch(r"\d+|true|false", example)
        return f"{key} = {example}" if is_plain else f'{key} = "{example}"'

    def _secret(self, spelled: str, how: str, value: Any) -> str:
        # The messages never quote the value: somebody may have written the secret itself there.
        if not isinstance(value, str) or not value:
            raise self._secret_wrong(spelled, "is no text")
        if how == "file":
            try:
                return text_of_secret(Path(value))
            except ValueError as error:
                raise self._secret_wrong(spelled, str(error)) from None
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise self._secret_wrong(spelled, "is no name of a variable")
        if text := text_around(value):
            return text
        raise self._secret_wrong(spelled, "names a variable that is set nowhere")

    def _secret_wrong(self, spelled: str, what: str) -> SettingWrong:
        key = spelled.removesuffix("_env").removesuffix("_file")
        return SettingWrong(
            f"{spelled} {what}",
            where=self.where,
            hint=f"Name a variable of the environment or .env ({key}_env), or a file that holds "
            f"nothing but the value ({key}_file).",
        )

    def _in_plain(self, key: str) -> SettingWrong:
        return SettingWrong(
            f"{key} is a secret, and no secret stands in this file",
            where=self.where,
            hint=f"Put it into a variable, or into a file of mode 0600, and name that: "
            f"{self._line(self._keys[key])}. Change it if others could read it here.",
        )

    def _unknown(self, spelled: str) -> SettingWrong:
        shared = [name for name in SHARED if key_of(name) == _bare(spelled)]
        if shared:
            return SettingWrong(
                f"{spelled} is set for all workspaces together",
                where=self.where,
                hint=f"Set {shared[0]} in the environment or .env, and remove it here.",
            )
        keys = [
            written
            for key, name in self._keys.items()
            for written in (
                (f"{key}_env", f"{key}_file") if is_secret(self.fields[name]) else (key,)
            )
        ]
        return SettingWrong(
            f"{spelled} is no setting of a workspace",
            where=self.where,
            hint=f"{did_you_mean(spelled, keys)}Correct the name, or remove it; "
            "`dify-etl docs many-workspaces` tells the keys.",
        )


def table_named(name: str, fields: Mapping[str, FieldInfo]) -> WorkspaceTable:
    """The table of a workspace. SettingWrong: there is no such file or workspace."""
    path = workspaces_path()
    if path is None:
        raise SettingWrong(
            f"there is no {FILE} that would tell what the workspace {name!r} is",
            where=str(FILE.absolute()),
            hint=f"Write it (`dify-etl docs many-workspaces`), name it by {WORKSPACES}, or leave "
            f"out --workspace and {WORKSPACE}.",
        )
    tables = read_workspaces(path, fields)
    if name not in tables:
        raise SettingWrong(
            f"there is no workspace {name!r}",
            where=str(path.absolute()),
            hint=f"{did_you_mean(name, tables)}Workspaces: {', '.join(tables)}.",
        )
    return tables[name]


def workspaces_path() -> Path | None:
    """The file that DIFY_ETL_WORKSPACES names, or `workspaces.toml` here; None: there is none."""
    if named := text_around(WORKSPACES):
        return Path(os.path.expanduser(named))
    return FILE if FILE.exists() else None


def all_workspaces(fields: Mapping[str, FieldInfo]) -> dict[str, WorkspaceTable]:
    """Name -> table, in the order of the file; none without a file. SettingWrong."""
    path = workspaces_path()
    return {} if path is None else read_workspaces(path, fields)


def read_workspaces(path: Path, fields: Mapping[str, FieldInfo]) -> dict[str, WorkspaceTable]:
    """Name -> table, in the order of the file. What is wrong within a table shows when that
    workspace is used, and stops no other.

    SettingWrong: no file or no TOML, a name that is none, two workspaces that would write the same
    files or read the same workspace of a server.
    """
    held = _parsed(path).get(TABLES)
    if not isinstance(held, dict) or not held:
        raise _file_wrong(path, f"it names no workspace in a table [{TABLES}.NAME]")
    tables = {name: _table(path, name, held[name], fields) for name in held}
    for kind, what in (
        (_folders, "write the same files in {}: give each a home (and a copy) of its own"),
        (
            _accounts,
            "read {}, which is one workspace: Dify keeps one current workspace per account",
        ),
    ):
        owners: dict[str, str] = {}
        for table in tables.values():
            for one in kind(table):
                other = owners.setdefault(one, table.name)
                if other != table.name:
                    both = f"{other} and {table.name}"
                    raise _file_wrong(path, f"{both} would {what.format(one)}")
    return tables


def environment_of(name: str, tables: Mapping[str, WorkspaceTable]) -> dict[str, str]:
    """The environment of a process for one of these workspaces: this one's name in it, and none of
    the secrets that others name and it does not, nor what is of one Dify and it does not name.
    """
    named = {one.name: set(one.secret_variables) for one in tables.values()}
    others = OF_ONE_DIFY.union(*named.values()) - named[name]
    kept = {key: text for key, text in os.environ.items() if key not in others}
    return {**kept, WORKSPACE: name}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        raise _file_wrong(path, f"it cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at (.*)\)$", str(error))  # the rest may quote a secret
        raise _file_wrong(path, f"it is no TOML, {place[1] if place else 'somewhere'}") from None


def _table(path: Path, name: str, held: object, fields: Mapping[str, FieldInfo]) -> WorkspaceTable:
    if not NAME.fullmatch(name):
        raise _file_wrong(
            path,
            f"{name!r} is no name of a workspace: a letter a-z, then up to 62 of a-z, 0-9, _ and -",
        )
    if not isinstance(held, dict):
        raise _file_wrong(path, f"{name} is no table [{TABLES}.{name}]")
    return WorkspaceTable(name, path, held, fields)


def folders_of_others(name: str, tables: Mapping[str, WorkspaceTable]) -> set[Path]:
    """Where the other workspaces write: homes, copies and exported apps, but for folders that this
    one writes to as well.
    """
    keys = ("home", "copy", "exports")
    others = [_folders(one, keys) for one in tables.values() if one.name != name]
    own = set(_folders(tables[name], keys)) if name in tables else set()
    return {Path(one) for folders in others for one in folders if one not in own}


def homes_of(tables: Mapping[str, WorkspaceTable]) -> set[Path]:
    """The homes of workspaces, and what else stands beside those whose table names none: that of a
    workspace which was renamed.
    """
    homes = {Path(one) for table in tables.values() for one in _folders(table, ("home",))}
    beside = {table.places[_HOME].parent.resolve() for table in tables.values()}
    return homes | {one for folder in beside if folder.is_dir() for one in folder.iterdir()}


def _folders(table: WorkspaceTable, keys: tuple[str, ...] = ("home", "copy")) -> Iterator[str]:
    """Where it writes: its home, its copy for analysts, exported apps."""
    places = {key_of(name): str(place) for name, place in table.places.items()}
    for key in keys:
        named = table.held.get(key, places.get(key))
        if isinstance(named, str):
            yield str(Path(os.path.expanduser(named)).resolve())


def _accounts(table: WorkspaceTable) -> Iterator[str]:
    """The workspace of a server that it reads, as far as that can be told without asking."""
    email, workspace_id = table.held.get("email"), table.held.get("workspace_id")
    has_admin_key = "admin_api_key_env" in table.held or "admin_api_key_file" in table.held
    if table.server == SIMULATED_SERVER:
        return
    if has_admin_key and isinstance(workspace_id, str):
        yield f"{workspace_id} of {table.server}"
    elif isinstance(email, str) and not has_admin_key:
        yield f"what {email.strip().casefold()} sees of {table.server}"


def server_of(address: str) -> str:
    """Host and port of an address, in lower case: what two workspaces share that load one Dify."""
    try:
        url = urlsplit(address.strip())
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    except ValueError:
        return address.strip().lower()
    return f"{(url.hostname or '').lower()}:{port}"


def _split(spelled: str, known: Mapping[str, object]) -> tuple[str, str | None]:
    """The key, and whether a variable (`env`) or a file (`file`) holds its value."""
    key, _, how = spelled.rpartition("_")
    is_named = spelled not in known and how in ("env", "file") and key in known
    return (key, how) if is_named else (spelled, None)


def _bare(spelled: str) -> str:
    return spelled.removesuffix("_env").removesuffix("_file")


def _file_wrong(path: Path, what: str) -> SettingWrong:
    return SettingWrong(
        f"the file of workspaces is wrong: {what}",
        where=str(path.absolute()),
        hint="Correct it: `dify-etl docs many-workspaces` shows one.",
    )
