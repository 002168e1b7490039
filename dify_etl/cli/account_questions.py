"""The questions of `dify-etl init`: address and account, asked at a terminal; where there is none,
taken from options, environment and `.env`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from dify_etl.cli.consoles import err
from dify_etl.cli.error_messages import ErrorMessage, print_error
from dify_etl.cli.prompts import asked, asked_unseen, standard_input
from dify_etl.dify.client import Credentials
from dify_etl.dify.errors import AccountLocked, DifyError, LoginRefused
from dify_etl.dify.http.auth import AdminKeyCredentials, PasswordCredentials
from dify_etl.setting_sources import ENV_FILE
from dify_etl.settings import SettingWrong

MOST_LOGINS = 3  # of the five wrong passwords after which Dify locks an account for a day
STDIN = "-"
PASSWORD, ADMIN_KEY = "DIFY_PASSWORD", "DIFY_ADMIN_API_KEY"  # nosec B105: names of variables

T = TypeVar("T")


@dataclass(frozen=True)
class InitRequest:
    """What was given with the command; what is missing is asked for at a terminal, and taken from
    the environment or `.env` without one. Files of `-` are stdin.
    """

    address: str | None = None
    email: str | None = None
    password_file: str | None = None
    admin_key_file: str | None = None
    workspace_id: str | None = None
    may_replace: bool = False

    @property
    def reads_stdin(self) -> bool:
        """Whether stdin holds a secret, so that nobody can be asked there."""
        return STDIN in (self.password_file, self.admin_key_file)

    def __post_init__(self) -> None:
        if self.password_file and self.admin_key_file:
            raise SettingWrong(
                "a password and an admin key were given",
                where="--password-file and --admin-api-key-file",
                hint="Give one of them: an account, or the server's admin API key.",
            )


class NoTerminal:
    """Nobody can be asked: what is missing is an error, and so is what Dify refuses."""

    def __init__(self, known: Mapping[str, str], request: InitRequest) -> None:
        self._known = known
        self._request = request

    def until_it_works(self, attempt: Callable[[], T], *options: str) -> T:
        """Once."""
        return attempt()

    def address(self) -> str:
        """DIFY_BASE_URL, or --address."""
        return self._request.address or self._value("DIFY_BASE_URL", "--address")

    def credentials(self) -> Credentials:
        """The admin key where one was given, else the account."""
        request = self._request
        is_key = request.admin_key_file or (
            not (request.email or request.password_file) and ADMIN_KEY in self._known
        )
        if is_key:
            key = self._secret(ADMIN_KEY, "--admin-api-key-file", request.admin_key_file)
            workspace = request.workspace_id or self._value("DIFY_WORKSPACE_ID", "--workspace-id")
            return AdminKeyCredentials(key, workspace)
        email = request.email or self._value("DIFY_EMAIL", "--email")
        password = self._secret(PASSWORD, "--password-file", request.password_file)
        return PasswordCredentials(email, password)

    def _value(self, name: str, option: str) -> str:
        if text := self._known.get(name):
            return text
        raise SettingWrong(
            f"{name} is not known, and there is no terminal to ask for it",
            where=f"{option}, environment and {ENV_FILE}",
            hint=f"Give {option}, or set {name}.",
        )

    def _secret(self, name: str, option: str, file: str | None) -> SecretStr:
        return _read_secret(file, option) if file else SecretStr(self._value(name, option))


class Terminal:
    """Somebody is asked, and asked again after a refusal: for what was not given as an option."""

    def __init__(self, known: Mapping[str, str], request: InitRequest) -> None:
        self._known = known
        self._request = request

    def until_it_works(self, attempt: Callable[[], T], *options: str) -> T:
        """Again and again; after a failure what came from these options is asked for.

        LoginRefused at the third refusal, AccountLocked at once.
        """
        refused = 0
        while True:
            try:
                return attempt()
            except (DifyError, SettingWrong) as error:
                refused += isinstance(error, LoginRefused)
                if isinstance(error, AccountLocked) or refused == MOST_LOGINS:
                    raise
                print_error(err, ErrorMessage.of(error))
                nothing: dict[str, Any] = dict.fromkeys(options)
                self._request = replace(self._request, **nothing)

    def address(self) -> str:
        """The address, with that of the settings to be taken by Enter."""
        return (
            self._request.address
            or asked("Address of your Dify", self._default("BASE_URL")).strip()
        )

    def credentials(self) -> Credentials:
        """The account; without an e-mail the admin key."""
        if not self._request.admin_key_file:
            prompt = "E-mail of the account that reads (- for an admin API key instead)"
            email = self._request.email or asked(prompt, self._default("EMAIL")).strip()
            if email != "-":
                return PasswordCredentials(email, self._secret("Password", PASSWORD))
        key = self._secret("Admin API key of the server", ADMIN_KEY)
        prompt = "Id of the workspace"
        workspace = (
            self._request.workspace_id or asked(prompt, self._default("WORKSPACE_ID")).strip()
        )
        return AdminKeyCredentials(key, workspace)

    def _default(self, name: str) -> str | None:
        return self._known.get(f"DIFY_{name}")

    def _secret(self, prompt: str, name: str) -> SecretStr:
        """Typed without an echo; Enter takes the one that is set."""
        is_account = name == PASSWORD
        file = self._request.password_file if is_account else self._request.admin_key_file
        if file:
            return _read_secret(file, "--password-file" if is_account else "--admin-api-key-file")
        held = self._known.get(name)
        told = f"{prompt} (Enter: the one that is set): " if held else f"{prompt}: "
        while True:
            if text := asked_unseen(told) or held:
                return SecretStr(text)


Asking = Terminal | NoTerminal


def _read_secret(file: str, option: str) -> SecretStr:
    """The first line of a file, or of stdin."""
    try:
        text = (
            standard_input()
            if file == STDIN
            else Path(os.path.expanduser(file)).read_text(encoding="utf-8")
        )
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingWrong(
            f"the file cannot be read: {reason}", where=option, hint="Name a file of one line."
        ) from None
    if line := text.partition("\n")[0].removesuffix("\r"):
        return SecretStr(line)
    raise SettingWrong("its first line is empty", where=option, hint="Put the secret there.")
