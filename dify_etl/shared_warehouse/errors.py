"""What can go wrong with the shared warehouse.

SharedWarehouseError
├── SharedWarehouseBusy         another process holds it, or wrote it again and again meanwhile
├── SharedWarehouseUnavailable  it cannot be attached or written: address, rights, extension, disk
├── SharedTableRefused          a table is another one than others' of its name; the rest is there
└── SharedWarehouseRefused      it holds the workspace from another server
"""

from dify_etl.warehouse.errors import WarehouseError


class SharedWarehouseError(WarehouseError):
    """The shared warehouse cannot do what was asked; the home is as it was."""


class SharedWarehouseBusy(SharedWarehouseError):
    """Another process held it until the deadline, or each try met a commit of another writer."""


class SharedWarehouseUnavailable(SharedWarehouseError):
    """It cannot be attached, read or written."""


class SharedWarehouseRefused(SharedWarehouseError):
    """It holds rows that are not this home's to replace."""


class SharedTableRefused(SharedWarehouseError):
    """A table of this home is another one than that of its name which others published: it was left
    out, and all others were published.
    """
