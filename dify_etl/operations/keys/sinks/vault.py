"""HashiCorp Vault, KV version 2, as a sink: check-and-set on every write.

KV has versions and no stages. What is pending stands under a path of its own, `<path>-pending`;
previous is the newest older version in which the field differs. Other fields of an entry stay.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pydantic import SecretStr

from dify_etl.extras import how_to_install
from dify_etl.operations.keys.errors import SinkFailed, SinkNotInstalled
from dify_etl.operations.keys.sinks.configs import VaultSinkConfig
from dify_etl.operations.keys.sinks.protocol import Stage

DEFAULT_FIELD = "api_key"
TIMEOUT_SECONDS = 30
# Of a path or field: no way up, nothing that a URL gives a meaning, no control character.
_SEGMENT = re.compile(r"[\w .@:+=,~-]+")
LOOKED_BACK = 10  # versions that Vault keeps unless told otherwise


class _Held(NamedTuple):
    """One version of an entry; version 0 is none at all."""

    version: int
    fields: dict[str, str]


def open_vault_sink(config: VaultSinkConfig) -> "VaultSink":
    """A sink with the token of the file or of VAULT_TOKEN. SinkNotInstalled, SinkFailed."""
    try:
        import hvac
    except ImportError:
        raise SinkNotInstalled(
            "the package hvac is missing",
            where="a sink of type vault",
            hint=how_to_install("vault"),
        ) from None
    client = hvac.Client(
        url=config.url,
        token=_token(config),
        namespace=config.namespace,
        timeout=TIMEOUT_SECONDS,
    )
    return VaultSink(client.secrets.kv.v2, config.mount)


def _token(config: VaultSinkConfig) -> str:
    try:
        if config.token_file is not None:
            return config.token_file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SinkFailed(
            "the file with Vault's token cannot be read",
            where=str(config.token_file),
            hint="Name another in token_file, or leave it out and set VAULT_TOKEN.",
        ) from None
    token = os.environ.get("VAULT_TOKEN", "")
    if not token:
        raise SinkFailed(
            "there is no token for Vault",
            where="environment",
            hint="Set VAULT_TOKEN, or token_file in the sink's table of the policy.",
        )
    return token


class VaultSink:
    """A sink over hvac's KV 2 client."""

    def __init__(self, secrets: Any, mount: str) -> None:
        self._secrets = secrets
        self._mount = mount

    def place(self, entry: str) -> str:
        """The field, and the path with its mount."""
        path, field = _parts(entry)
        return f"field {field} of {self._mount}/{path}"

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        """The field of the entry: pending, current, or as it was before."""
        path, field = _parts(entry)
        if stage == "pending":
            held = self._held(entry, _pending(path)).fields.get(field)
        elif stage == "current":
            held = self._held(entry, path).fields.get(field)
        else:
            held = self._previous(entry, path, field)
        return None if not held else SecretStr(held)

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        """Write it under the pending path."""
        path, field = _parts(entry)
        held = self._held(entry, _pending(path))
        fields = {**held.fields, field: token.get_secret_value()}
        self._write(entry, _pending(path), fields, held.version)

    def promote(self, entry: str, key_id: str) -> None:
        """Write the field into the entry if nobody changed it meanwhile, then forget pending."""
        path, field = _parts(entry)
        pending = self._held(entry, _pending(path)).fields.get(field)
        if not pending:
            raise _failed(entry, "nothing is pending")
        self._set(entry, path, field, pending)
        self.discard(entry)

    def restore(self, entry: str) -> None:
        """Write the field's former value as a new version."""
        path, field = _parts(entry)
        previous = self._previous(entry, path, field)
        if not previous:
            raise _failed(entry, "no older version holds another value")
        self._set(entry, path, field, previous)

    def discard(self, entry: str) -> None:
        """Destroy all versions under the pending path, or only this field of them."""
        path, field = _parts(entry)
        held = self._held(entry, _pending(path))
        left = {name: value for name, value in held.fields.items() if name != field}
        if left:
            self._write(entry, _pending(path), left, held.version)
            return
        with _vault_errors(entry):
            self._secrets.delete_metadata_and_all_versions(
                path=_pending(path), mount_point=self._mount
            )

    def _set(self, entry: str, path: str, field: str, value: str) -> None:
        held = self._held(entry, path)
        if held.fields.get(field) != value:
            self._write(entry, path, {**held.fields, field: value}, held.version)

    def _write(self, entry: str, path: str, fields: dict[str, str], version: int) -> None:
        with _vault_errors(entry):
            self._secrets.create_or_update_secret(
                path=path, secret=fields, cas=version, mount_point=self._mount
            )

    def _held(self, entry: str, path: str, version: int | None = None) -> _Held:
        from hvac.exceptions import InvalidPath

        try:
            with _vault_errors(entry):
                answer = self._secrets.read_secret_version(
                    path=path,
                    version=version,
                    mount_point=self._mount,
                    raise_on_deleted_version=False,
                )
        except InvalidPath:
            return _Held(0, {})
        told = answer["data"]
        return _Held(int(told["metadata"]["version"]), told.get("data") or {})

    def _previous(self, entry: str, path: str, field: str) -> str | None:
        current = self._held(entry, path)
        for version in range(current.version - 1, max(0, current.version - LOOKED_BACK), -1):
            value = self._held(entry, path, version).fields.get(field)
            if value and value != current.fields.get(field):
                return value
        return None


def _parts(entry: str) -> tuple[str, str]:
    """Path and field. SinkFailed when a segment would lead elsewhere: the mount is the policy's."""
    path, _, field = entry.partition("#")
    path = path.strip("/")
    for segment in (*path.split("/"), field or DEFAULT_FIELD):
        if not _SEGMENT.fullmatch(segment) or segment.strip(".") == "":
            raise _failed(entry, f"{segment!r} is no segment of a path or name of a field")
    return path, field or DEFAULT_FIELD


def _pending(path: str) -> str:
    return f"{path}-pending"


@contextmanager
def _vault_errors(entry: str) -> Iterator[None]:
    """Vault's refusals by their kind alone; a missing path is left to the caller."""
    import requests
    from hvac.exceptions import InvalidPath, VaultError

    try:
        yield
    except InvalidPath:
        raise
    except VaultError as error:
        raise _failed(entry, _kind(error)) from None
    except requests.RequestException as error:
        raise _failed(entry, type(error).__name__) from None


def _kind(error: Exception) -> str:
    is_changed = "check-and-set" in str(error)
    return "somebody else changed the entry meanwhile" if is_changed else type(error).__name__


def _failed(entry: str, what: str) -> SinkFailed:
    return SinkFailed(
        f"Vault: {what}",
        where=f"entry {entry}",
        hint="Check the address, the mount (KV version 2), and that the token may read, create, "
        "update and delete this path and its -pending.",
    )
