"""What the text of a setting may be: a type per kind, whose error tells what is wrong with it."""

import re
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfoNotFoundError

from pydantic import AfterValidator, SecretStr

from dify_etl.extras import how_to_install
from dify_etl.path_text import expanded, expanded_text
from dify_etl.time_zones import zone_of


def _zone(name: str) -> str:
    try:
        zone_of(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error
    return name


def _cron(text: str) -> str:
    # Only the shape: Dagster, which runs it, is too slow to import here and checks the rest.
    if not re.fullmatch(r"@\w+|[\w*/,\-]+( +[\w*/,\-#?]+){4}", text.strip()):
        raise ValueError(f"{text!r} is no cron expression of five fields")
    return text


def _address(text: str, what: str = "address") -> SplitResult:
    # No message quotes the value: it may hold a password, or somebody has written one into it.
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise ValueError(f"it is no {what}") from error
    return url


def _url(text: str) -> str:
    url = _address(text.strip())
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("it must begin with http:// or https:// and name a host")
    if url.username is not None or url.password is not None:
        raise ValueError("it must not hold a user name or password")
    return text.strip()


def _hosts(text: str) -> str:
    # No `*`: then the name of any page would do, and the list would be there for nothing.
    for name in (part.strip() for part in text.split(",")):
        if name and not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-fA-F:]+", name):
            raise ValueError(f"{name!r} is no name of a host; it stands without scheme and port")
    return text


def _currencies(text: str) -> str:
    for part in (one.strip() for one in text.split(",")):
        if part and not re.fullmatch(r"[^=]*[^=\s]\s*=\s*[A-Z]{3}", part):
            raise ValueError(f"{part!r} is no model=CURRENCY, with a currency of three letters")
    return text


def _token_store(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    known = ("file:", "redis://", "rediss://", "unix://")
    if text not in ("memory", "file") and not text.startswith(known):
        raise ValueError("it is neither memory, file, file:<path> nor redis://<host>")
    return SecretStr(expanded_text(text))


def _redis_url(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    return secret


def _postgres(secret: SecretStr) -> SecretStr:
    url = _address(secret.get_secret_value(), "address of a database")
    if url.scheme not in ("postgresql", "postgresql+psycopg2") or not url.path.strip("/"):
        raise ValueError("it must begin with postgresql:// and name a database")
    if find_spec("dagster_postgres") is None:
        raise ValueError(f"it needs the package dagster-postgres. {how_to_install('postgres')}")
    return secret


def _dify_database(secret: SecretStr) -> SecretStr:
    url = _address(secret.get_secret_value(), "address of a database")
    if "mysql" in url.scheme or "mariadb" in url.scheme:
        raise ValueError(
            "MySQL is not read: its tables were never compared with what the console shows. "
            "Unset it, and everything is read by the console API"
        )
    if url.scheme not in ("postgresql", "postgres") or not url.path.strip("/"):
        raise ValueError("it must begin with postgresql:// and name a database")
    if find_spec("adbc_driver_postgresql") is None:
        raise ValueError(
            f"it needs the package adbc-driver-postgresql. {how_to_install('database')}"
        )
    return secret


def _warehouse(secret: SecretStr) -> SecretStr:
    # The messages never quote the value: it may hold a password.
    text = secret.get_secret_value()
    kind, is_lake, behind = text.partition(":")
    if "://" in text.partition("ducklake:")[0] or kind in ("md", "motherduck", "postgres", "mysql"):
        raise ValueError("it is neither a DuckDB file nor ducklake:…")
    if is_lake and kind == "ducklake":
        if not behind.strip() or behind.startswith(("mysql:", "md:")):
            raise ValueError(
                "behind ducklake: stands postgres:<how to connect>, sqlite:<path> or a path"
            )
    elif not text.strip() or text.endswith("/"):
        raise ValueError("it names no file")
    return SecretStr(expanded_text(text))


def _lake_path(text: str) -> str:
    # Addresses of DuckDB may carry keys behind a question mark: they would stand in the catalog.
    scheme, is_address, _ = text.partition("://")
    if is_address and scheme not in ("s3", "gs", "gcs", "r2", "az", "azure", "abfss"):
        raise ValueError("it is neither a folder nor an address of s3://, gs:// or az://")
    if "?" in text or "@" in text.partition("://")[2]:
        raise ValueError("it must hold no keys: DuckDB's secrets or AWS_… variables tell them")
    return expanded_text(text)


def _notify(secret: SecretStr) -> SecretStr:
    # The messages never quote a URL: of most services all of it but the scheme is a secret.
    for position, url in enumerate(secret.get_secret_value().split(), start=1):
        if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", url):
            raise ValueError(f"URL {position} of it does not begin with a scheme and ://")
    if find_spec("apprise") is None:
        raise ValueError(f"it needs the package apprise. {how_to_install('notify')}")
    return secret


def _mode(text: str) -> str:
    # Nobody but the owner writes the copy, and nobody runs it.
    if not re.fullmatch(r"0?[46][04][04]", text.strip()) or int(text, 8) & 0o600 != 0o600:
        raise ValueError(f"{text!r} is no mode of a file that others may only read")
    return text.strip()


def _past_day(day: date) -> date:
    if day > date.today() + timedelta(days=1):  # it may be tomorrow already where Dify is
        raise ValueError(f"{day} lies in the future")
    return day


FilePath = Annotated[Path, AfterValidator(expanded)]
Zone = Annotated[str, AfterValidator(_zone)]
Cron = Annotated[str, AfterValidator(_cron)]
Url = Annotated[str, AfterValidator(_url)]
Hosts = Annotated[str, AfterValidator(_hosts)]
Currencies = Annotated[str, AfterValidator(_currencies)]
TokenStorePlace = Annotated[SecretStr, AfterValidator(_token_store)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
DagsterDatabase = Annotated[SecretStr, AfterValidator(_postgres)]
DifyDatabaseUrl = Annotated[SecretStr, AfterValidator(_dify_database)]
SharedTarget = Annotated[SecretStr, AfterValidator(_warehouse)]
LakePath = Annotated[str, AfterValidator(_lake_path)]
NotifyUrls = Annotated[SecretStr, AfterValidator(_notify)]
FileMode = Annotated[str, AfterValidator(_mode)]
PastDay = Annotated[date, AfterValidator(_past_day)]
