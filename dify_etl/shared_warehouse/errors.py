"""What can go wrong with the shared warehouse.

SharedWarehouseError
├── SharedWarehouseBusy            another process holds it, or wrote it again and again meanwhile
├── SharedWarehouseUnavailable     it cannot be attached or written: address, rights, disk, …
├── SharedCatalogOfAnotherVersion  a lake's catalog is of another DuckLake than this DuckDB's
├── SharedFilesLost                data files of a lake are gone
├── SharedTableRefused             a table is another one than others' of its name
└── SharedWarehouseRefused         it has the workspace from elsewhere, or its folder is another's
"""

from dify_etl.warehouse.errors import WarehouseBusy, WarehouseError


class SharedWarehouseError(WarehouseError):
    """The shared warehouse cannot do what was asked; the home is as it was."""


class SharedWarehouseBusy(SharedWarehouseError, WarehouseBusy):
    """Another process held it until the deadline, or each try met a commit of another writer."""


class SharedWarehouseUnavailable(SharedWarehouseError):
    """It cannot be attached, read or written."""


class SharedCatalogOfAnotherVersion(SharedWarehouseError):
    """The catalog of a lake is of an older or newer DuckLake than the one of this DuckDB."""


class SharedFilesLost(SharedWarehouseError):
    """The catalog of a lake names data files that are not there: who reads them gets an error."""


class SharedWarehouseRefused(SharedWarehouseError):
    """It holds rows that are not this home's to replace."""


class SharedTableRefused(SharedWarehouseError):
    """A table of this home is another one than that of its name which others published: it was left
    out, and all others were published.
    """
