"""What every error of dify-etl has: what happened, where, and what to do next.

ActionableError
├── settings.SettingWrong        a setting is missing or bad
├── dify.errors.DifyError        the server refused, failed or answered nonsense
├── warehouse.errors.WarehouseError  the DuckDB files or the disk
├── sync.errors.SyncError        the run as a whole: source, lock, window
├── management.errors.ManagementError  an operation on Dify: stale, too much, not confirmed
├── ui.process_tree.ServiceEnded  a process of `dify-etl dev` has ended by itself
└── management.rotation.errors.RotationError  the rotation of keys: policy, sink, a person needed
"""


class ActionableError(Exception):
    """An error that a user can act on.

    `what` tells the fact, `where` the place (endpoint, app, file, setting), `hint` the next step.
    None of the three may ever hold a secret: they are printed, logged and stored.
    """

    def __init__(self, what: str, *, where: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} [{self.where}] {self.hint}"
