"""The keys of one app, or of the datasets: listed, made, deleted, and tried by a real call."""

from urllib.parse import urlsplit

from pydantic import SecretStr

from dify_etl.dify.api_keys import MOST_KEYS, ApiKey, NewApiKey
from dify_etl.dify.app_records import AppDetail
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import UnexpectedAnswer
from dify_etl.dify.http.writes import Written
from dify_etl.operations.keys.errors import RotationRefused

DELETERS = ("owner", "admin")


class Keyring:
    """One app's keys (`app_id`), or those of the datasets (None).

    `service_api_url`: the address of the service API when it is not on the console's origin.
    """

    def __init__(
        self, dify: DifyClient, app_id: str | None, *, service_api_url: str | None = None
    ) -> None:
        self._dify = dify
        self._app_id = app_id
        self._service_api_url = service_api_url

    def listed(self) -> tuple[ApiKey, ...]:
        """All keys. UnexpectedAnswer when one cannot be read: then no difference can be trusted."""
        rooms = self._dify.api_keys
        batch = rooms.of_datasets() if self._app_id is None else rooms.of_app(self._app_id)
        if batch.rejected:
            raise UnexpectedAnswer(
                f"{len(batch.rejected)} keys of the list cannot be read",
                where=self._where,
                hint="Report the server version; keys are not rotated on a list that is not whole.",
            )
        return batch.records

    def key(self, key_id: str | None) -> ApiKey | None:
        """One of the keys, None when it is not in the list."""
        return next((key for key in self.listed() if key.api_key_id == key_id), None)

    def create(self) -> Written[NewApiKey]:
        """One more key."""
        rooms = self._dify.api_keys
        if self._app_id is None:
            return rooms.create_for_datasets()
        return rooms.create_for_app(self._app_id)

    def delete(self, key_id: str) -> Written[None]:
        """Delete a key."""
        rooms = self._dify.api_keys
        if self._app_id is None:
            return rooms.delete_of_datasets(key_id)
        return rooms.delete_of_app(self._app_id, key_id)

    def token(self, key_id: str) -> SecretStr | None:
        """The key itself, where lists show it."""
        rooms = self._dify.api_keys
        if self._app_id is None:
            return rooms.token_of_dataset_key(key_id)
        return rooms.token_of_app_key(self._app_id, key_id)

    def fingerprint(self, token: SecretStr | None) -> str | None:
        """The fingerprint of what a sink holds."""
        return None if token is None else self._dify.api_keys.fingerprint_of(token)

    def is_of(self, key: ApiKey, token: SecretStr) -> bool | None:
        """Whether a listed key is the one that a sink holds; None: its mask shows too little."""
        return self._dify.api_keys.is_of(key, token)

    def check_ready(self) -> None:
        """RotationRefused unless we may delete keys, a slot is free and the API can be called."""
        role = self._dify.account.role()
        if role not in DELETERS:
            raise self._refused(
                f"the account is {role}; only an admin or owner may delete keys",
                "Give the account the role admin. Nothing was made that could not be revoked.",
            )
        if len(self.listed()) >= MOST_KEYS:
            raise self._refused(
                f"all {MOST_KEYS} keys are taken; a rotation needs a free one",
                "Delete a key that nobody uses: `dify-etl keys list` shows when each was used.",
            )
        app = self._app()
        if app is not None and app.is_api_enabled is False:
            raise self._refused(
                "the app's API is off: a new key could not be tested",
                "Switch the app's API on, or leave the app out of the policy.",
            )
        self._address(app)

    def probe(self, token: SecretStr) -> str | None:
        """Call the service API with a key; answers what contradicts that it is one of these.

        Raises KeyRefused, ServiceApiOff and the rest of the client's errors; RotationRefused when
        no address can be trusted with a key.
        """
        app = self._app()
        service = self._dify.service_api(self._address(app), token)
        if app is None:
            service.datasets()
            return None
        told = service.info()
        if told.name != app.name:
            return f"it opens another app than {app.name!r}"  # what answers had the key
        if told.mode is not None and told.mode != app.mode:
            return f"it opens an app of another mode than {app.mode}"
        return None

    def _app(self) -> AppDetail | None:
        return None if self._app_id is None else self._dify.apps.get(self._app_id)

    def _address(self, app: AppDetail | None) -> str:
        """Where the service API is: where the app says, if that is the console's origin."""
        if self._service_api_url:
            return self._service_api_url
        told = (app.api_base_url if app is not None else None) or f"{self._dify.origin}/v1"
        try:
            is_console = _origin(told) == _origin(self._dify.origin)
        except ValueError:  # a port that is none, a broken bracket
            raise self._refused(
                f"Dify tells {told!r} as its service API, which is no address",
                "Correct SERVICE_API_URL of the server, or set DIFY_SERVICE_API_URL.",
            ) from None
        if not is_console:
            raise self._refused(
                f"Dify tells {told!r} as its service API, which is not where the console is",
                "Set DIFY_SERVICE_API_URL to that address if it is right: keys are sent there.",
            )
        return told

    @property
    def _where(self) -> str:
        return "keys of the datasets" if self._app_id is None else f"keys of app {self._app_id}"

    def _refused(self, what: str, hint: str) -> RotationRefused:
        return RotationRefused(what, where=self._where, hint=hint)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default
