"""What every error of dify-etl has: what happened, where, and what to do next.

ActionableError
├── setting_sources.SettingWrong a setting is missing or bad
├── dify.errors.DifyError        the server refused, failed or answered nonsense
├── warehouse.errors.WarehouseError  the DuckDB files or the disk
├── sync.errors.SyncError        the run as a whole: source, lock, window
├── operations.errors.ManagementError  an operation on Dify: stale, too much, not confirmed
├── cli.standard_streams.OutputUnwritable  stdout takes no more
├── ui.process_tree.ServiceEnded  a process of `dify-etl dev` has ended by itself
└── operations.keys.errors.RotationError  the rotation of keys: policy, sink, a person needed
"""

from dify_etl.control_codes import harmless


class ActionableError(Exception):
    """An error that a user can act on.

    `what` tells the fact, `where` the place (endpoint, app, file, setting), `hint` the next step.
    None of the three may ever hold a secret: they are printed, logged and stored. What a terminal
    would obey in a name or in the words of a server is written out.
    """

    def __init__(self, what: str, *, where: str, hint: str) -> None:
        self.what, self.where, self.hint = harmless(what), harmless(where), harmless(hint)
        super().__init__(self.what)

    def __str__(self) -> str:
        return f"{self.what} [{self.where}] {self.hint}"


def is_interrupt(error: Exception) -> bool:
    """Whether it is what DuckDB makes of Ctrl-C: a plain RuntimeError."""
    return isinstance(error, RuntimeError) and str(error) == "Query interrupted"
