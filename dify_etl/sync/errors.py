"""What stops a sync as a whole.

SyncError
├── SourceChanged    the home belongs to another server, workspace, account or time zone
├── AnotherSync      another process syncs into this home
├── WindowWrong      dates that cannot be read
└── PersonUnclear    nobody, or more than one person, goes by a name
"""

from dify_etl.errors import ActionableError


class SyncError(ActionableError):
    """A sync cannot begin, or must not go on."""


class SourceChanged(SyncError):
    """What answers is not what this warehouse was loaded from; nothing was written."""


class AnotherSync(SyncError):
    """Another sync holds the home's lock; names its PID and command."""


class WindowWrong(SyncError):
    """The asked days cannot be read: in the future, or the end before the start."""


class PersonUnclear(SyncError):
    """Nobody, or more than one person, goes by that name; nothing was changed."""
