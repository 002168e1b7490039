"""What stops an operation before or while it changes Dify.

ManagementError
├── PlanStale        the world has moved since the plan was shown
├── TooMuch          the plan touches more objects than the run may
├── NotConfirmed     a deletion whose name was not typed back
├── InputWrong       an e-mail, a CSV, a file or a config that cannot be used
├── TargetUnknown    no object, or several, with that id or name
├── EscrowRefused    an app whose data are not safe yet, so that it may not be deleted
├── AuditUnwritable  the audit cannot be kept, so nothing more is sent
└── Undecided        an answer was lost, and what Dify shows now does not tell what became of it
"""

from dify_etl.errors import ActionableError


class ManagementError(ActionableError):
    """An operation cannot begin, or must not go on."""


class PlanStale(ManagementError):
    """The plan of this moment is not the one that was agreed to; nothing was changed."""


class TooMuch(ManagementError):
    """The plan touches more objects than this run may; nothing was changed."""


class NotConfirmed(ManagementError):
    """Something would be deleted whose name was not typed back; nothing was changed."""


class InputWrong(ManagementError):
    """What the operation was given cannot be used; Dify was not asked."""


class TargetUnknown(ManagementError):
    """Dify has no such object, or several of that name."""


class EscrowRefused(ManagementError):
    """The app's data are not safely in the warehouse yet; nothing was deleted."""


class Undecided(ManagementError):
    """Whether a write was done cannot be told from what Dify shows; a person has to look."""


class AuditUnwritable(ManagementError):
    """The audit file cannot be written: what cannot be recorded is not done."""
