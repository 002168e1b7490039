"""Where the shared warehouse is, and what of that may be said."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from dify_etl.home import Access

LAKE = "ducklake:"
HIDDEN = "(secret)"  # what stands for a password
# What DuckLake keeps its catalog in, by the word behind `ducklake:`; a path alone is a DuckDB file.
_OTHER_CATALOGS = ("postgres", "sqlite", "duckdb")
_PASSWORD = re.compile(r"(\w*password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s'\"]+)", re.IGNORECASE)
_USER_INFO = re.compile(r"(://)[^/@\s]+@")


@dataclass(frozen=True)
class SharedPlace:
    """What DuckDB attaches (a path, or `ducklake:…`), the folder or address of a lake's Parquet
    files (None: what its catalog says), where large sorts may spill, and who may read a file.
    """

    target: SecretStr
    data_path: str | None
    spill: Path
    access: Access = field(default_factory=Access)
    wait_seconds: float = 60.0

    @property
    def is_lake(self) -> bool:
        """Whether it is a DuckLake."""
        return self.target.get_secret_value().startswith(LAKE)

    @property
    def file(self) -> Path:
        """The DuckDB file, where it is no lake."""
        return Path(self.target.get_secret_value())

    @property
    def catalog(self) -> str:
        """In what a lake keeps its catalog: postgres, sqlite or duckdb."""
        kind, _, rest = self._behind_lake.partition(":")
        return kind if rest and kind in _OTHER_CATALOGS else "duckdb"

    @property
    def catalog_file(self) -> Path | None:
        """The file of a lake's catalog, where that is one."""
        if not self.is_lake or self.catalog == "postgres":
            return None
        return Path(self._behind_lake.removeprefix(f"{self.catalog}:"))

    @property
    def catalog_address(self) -> str:
        """How PostgreSQL is reached, where it has the catalog; it may hold a password."""
        return self._behind_lake.removeprefix(f"{self.catalog}:")

    @property
    def name(self) -> str:
        """The same for people: without passwords."""
        return self.without_secrets(self.target.get_secret_value())

    @property
    def _behind_lake(self) -> str:
        return self.target.get_secret_value().removeprefix(LAKE)

    def without_secrets(self, text: str) -> str:
        """A text, as an error of DuckDB, that may quote the address, without its password."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return _USER_INFO.sub(rf"\1{HIDDEN}@", _PASSWORD.sub(rf"\1{HIDDEN}", text))

    def _secrets(self) -> set[str]:
        target = self.target.get_secret_value()
        found = {match[2].strip("'") for match in _PASSWORD.finditer(target)}
        found |= {match[1] for match in re.finditer(r"://[^/:@\s]+:([^/@\s]+)@", target)}
        return {one for one in found if one}
