"""Where settings stand beside the environment: `.env`, files of secrets; the error of a bad one."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from dify_etl.errors import ActionableError
from dify_etl.path_text import expanded

ENV_FILE = Path(".env")
WORKSPACE, WORKSPACES = "DIFY_ETL_WORKSPACE", "DIFY_ETL_WORKSPACES"
# What belongs to one Dify and one account: no workspace takes it from the environment.
OF_ONE_DIFY = frozenset(
    {
        "DIFY_BASE_URL",
        "DIFY_EMAIL",
        "DIFY_PASSWORD",
        "DIFY_ADMIN_API_KEY",
        "DIFY_WORKSPACE_ID",
        "DIFY_DATABASE_URL",
        "DIFY_SERVICE_API_URL",
    }
)


class SettingWrong(ActionableError):
    """A setting is missing or bad; names it, where it was looked for, and an example."""


class SecretFiles(PydanticBaseSettingsSource):
    """NAME_FILE names a file that holds the secret setting NAME, as containers hand secrets out.

    Files of `left_out` are not looked for.
    """

    def __init__(
        self,
        settings: type[BaseSettings],
        others: tuple[PydanticBaseSettingsSource, ...],
        left_out: Collection[str] = (),
    ) -> None:
        super().__init__(settings)
        self._others = others
        self._left_out = left_out

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The text of the file, when one is named."""
        name = str(field.validation_alias)
        is_looked_for = is_secret(field) and name not in self._left_out
        path = self._named(f"{name}_FILE") if is_looked_for else None
        return (None if path is None else self._held(name, Path(path))), name, False

    def __call__(self) -> dict[str, Any]:
        """All secrets that stand in files."""
        found = (self.get_field_value(one, "") for one in self.settings_cls.model_fields.values())
        return {name: text for text, name, _ in found if text is not None}

    def _named(self, variable: str) -> str | None:
        return text_around(variable)

    def _held(self, name: str, path: Path) -> str:
        if any(name in source() for source in self._others):
            raise _secret_file_wrong(name, f"both {name} and {name}_FILE are set", path)
        return secret_in_file(name, path)


def secret_in_file(name: str, path: Path) -> str:
    """What the file that NAME_FILE names holds, without a last line break. SettingWrong: nothing,
    or it is no file that can be read again and again.
    """
    try:
        return text_of_secret(path)
    except ValueError as error:
        raise _secret_file_wrong(name, f"{name}_FILE {error}", path) from None


def text_of_secret(path: Path) -> str:
    """What a file of a secret holds, without a last line break. ValueError says what is wrong with
    the file, and nothing of what it holds.
    """
    path = expanded(path)
    try:
        is_file = path.is_file()  # a pipe would be empty the second time, or be waited for
        text = path.read_text(encoding="utf-8") if is_file else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = "no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        raise ValueError(f"cannot be read: {reason}") from None
    if not is_file:
        raise ValueError("names no file")
    if text := text.removesuffix("\n").removesuffix("\r"):
        return text
    raise ValueError("names a file that is empty")


def is_secret(field: FieldInfo) -> bool:
    """Whether the value of a setting is never shown, and may stand in a file of its own."""
    kinds = (field.annotation, *get_args(field.annotation))
    return any(kind is SecretStr or SecretStr in get_args(kind) for kind in kinds)


def _secret_file_wrong(name: str, what: str, path: Path) -> SettingWrong:
    return SettingWrong(
        what,
        # Somebody may have written the secret itself there.
        where=str(path) if path.exists() else f"{name}_FILE",
        hint=f"Name a file that holds nothing but the value, or set {name} alone.",
    )


class WithoutSome(PydanticBaseSettingsSource):
    """Another source, without these variables."""

    def __init__(
        self,
        settings: type[BaseSettings],
        source: PydanticBaseSettingsSource,
        left_out: Collection[str],
    ) -> None:
        super().__init__(settings)
        self._source = source
        self._left_out = left_out

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Of the other source."""
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        """All that it has of the others."""
        return {key: text for key, text in self._source().items() if key not in self._left_out}


def text_around(name: str) -> str | None:
    """What the environment, or else `.env`, holds of a variable; an empty one counts as unset."""
    return os.environ.get(name) or held_in_env_file().get(name)


def held_in_env_file() -> dict[str, str]:
    """The variables that `.env` sets, ours and others', as python-dotenv reads them. SettingWrong
    when a line is none.
    """
    _require_readable(ENV_FILE)
    held = dotenv_values(ENV_FILE, encoding="utf-8") if ENV_FILE.exists() else {}
    return {name: text for name, text in held.items() if text}


def _env_wrong(what: str, path: Path) -> SettingWrong:
    return SettingWrong(
        what,
        where=str(path.resolve()),
        hint="Write one NAME=value per line, in UTF-8; a value with quotes or # in it stands in "
        "single quotes.",
    )


def _require_readable(path: Path) -> None:
    """SettingWrong when a line of `.env` is no setting: skipping it would hide a typing error."""
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8") as file:
            wrong = [binding.original.line for binding in parse_stream(file) if binding.error]
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        raise _env_wrong(f"{path} cannot be read: {reason}", path) from None
    if wrong:
        raise _env_wrong(f"line {wrong[0]} of {path} is no setting", path)
