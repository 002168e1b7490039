"""Files that a home gets once: whoever comes first makes them."""

import secrets
from collections.abc import Callable
from pathlib import Path

from dify_etl.home import Home
from dify_etl.private_files import PRIVATE_FOLDER, made_once
from dify_etl.warehouse.errors import WarehouseUnwritable, translated


def fingerprint_key(home: Path) -> bytes:
    """The key of the API keys' fingerprints: made once, mode 0600, outside the database."""
    return private_once(Home(home).fingerprint, lambda: secrets.token_bytes(32))


def people_salt(home: Path) -> bytes:
    """The salt of people's pseudonyms: made once, mode 0600, outside the database.

    WarehouseUnwritable when it cannot be made, or is none: whoever guesses a short one can tell
    whose pseudonym one is.
    """
    path = Home(home).people_salt
    salt = private_once(path, lambda: secrets.token_bytes(32))
    if len(salt) < 32:
        raise WarehouseUnwritable(
            f"the salt of people's pseudonyms has {len(salt)} bytes instead of 32",
            where=str(path),
            hint="Put the file back from a backup of the home. If nothing was loaded with it, "
            "delete it: the next sync makes another one.",
        )
    return salt


def make_home(home: Path) -> None:
    """Make the folder. WarehouseUnwritable when that cannot be."""
    try:
        home.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in the way" if home.exists() else error.strerror
        raise WarehouseUnwritable(
            f"the folder for the data cannot be made: {reason}",
            where=str(home.absolute()),
            hint="Set DIFY_ETL_HOME to a folder that you may write.",
        ) from error


def private_once(path: Path, content: Callable[[], bytes]) -> bytes:
    """The bytes of a private file, written by whoever comes first. WarehouseUnwritable."""
    make_home(path.parent)
    try:
        return made_once(path, content)
    except OSError as error:
        raise translated(path, error) from error
