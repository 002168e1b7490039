"""One trouble of one night, at the n-th place where it can happen."""

from collections.abc import Callable
from contextlib import suppress

from pydantic import SecretStr

from dify_etl.dify.http.tokens import MemoryTokenStore
from dify_etl.operations.audit import AuditEntry
from dify_etl.operations.keys.errors import RotationRunning, SinkFailed
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.sinks.protocol import SecretSink, Stage
from dify_etl.operations.keys.states import Rotation
from dify_etl_tests.operations.keys.generated import Trouble
from dify_etl_tests.operations.keys.workshop import Workshop
from dify_simulated import Faults
from dify_simulated.server.faults import Fault

BEFORE: dict[Trouble, Fault] = {
    "time-out, nothing done": Fault.TIMEOUT,
    "500 instead": Fault.SERVER_ERROR,
}
AFTER: dict[Trouble, Fault] = {
    "lost answer": Fault.LOST,
    "time-out after success": Fault.TIMEOUT,
    "500 after success": Fault.SERVER_ERROR,
    "cut answer": Fault.TRUNCATED,
}


class Crash(BaseException):
    """The process ends here."""


class Mishap:
    """Makes one thing go wrong in `shop`, once; calls `checked` wherever anything may change,
    `wrote` for each write that the server has done, and `handed_over` for each entry that got a
    key. `denies` tells whether sinks are denied to readers, or to those who write.
    """

    def __init__(
        self,
        shop: Workshop,
        trouble: Trouble | None,
        place: int,
        *,
        checked: Callable[[], None],
        act: Callable[[str], bool],
        wrote: Callable[[str, str], None],
        handed_over: Callable[[str, str], None] = lambda sink, entry: None,
        denies: Callable[[bool], bool] = lambda is_write: False,
    ) -> None:
        self._shop, self.trouble, self._left = shop, trouble, place
        self._checked, self._act, self._wrote = checked, act, wrote
        self.handed_over, self._denies = handed_over, denies
        self.happened = trouble is None
        self._loses = False  # the answer of this request
        self.is_followed = False  # by a key that a human makes, minutes later

    def faults(self) -> Faults:
        """The part that the server plays."""
        return Faults(before_request=self._before, after_request=self._after)

    def _before(self, number: int, method: str, path: str) -> Fault | None:
        self._jump()
        if self._is_here("crash before request", method, path):
            raise Crash
        if self._is_here("lost answer, and a human makes a key", method, path):
            self._loses = self._act("human makes a key")
        if self._is_here("500 instead, and a human makes a key later", method, path):
            self.is_followed = True
            return Fault.SERVER_ERROR
        for trouble, fault in BEFORE.items():
            if self._is_here(trouble, method, path):
                return fault
        if self.trouble and self.trouble.startswith("human") and self._counts():
            self.happened = self._act(self.trouble)  # else there is nothing of that kind yet
        if self.trouble == "second run" and self._counts():
            self._run_again()
        return None

    def _after(self, number: int, method: str, path: str, status: int) -> Fault | None:
        if _is_write(method, path):
            if status < 300:
                self._wrote(method, path)
            self._checked()
        self._jump()
        if self._is_here("crash after request", method, path):
            raise Crash
        if self._loses:
            self._loses = False
            return Fault.LOST
        for trouble, fault in AFTER.items():
            if self._is_here(trouble, method, path):
                return fault
        return None

    def _is_here(self, trouble: Trouble, method: str, path: str) -> bool:
        return self.trouble == trouble and _is_write(method, path) and self._counts()

    def _counts(self) -> bool:
        if self.happened:
            return False
        self.happened = self._left <= 0
        self._left -= 1
        return self.happened

    def _jump(self) -> None:
        """The clock of this machine, if it is to jump here."""
        if self.trouble in ("clock jumps ahead", "clock jumps back") and self._counts():
            self._act(self.trouble)

    def deny(self, *, is_write: bool) -> None:
        """SinkFailed while the sink is denied, which it may be from here on."""
        denial = "sink takes no writes" if is_write else "sink is denied"
        if self.trouble in ("sink is denied", denial) and self._counts():
            self._act(self.trouble)
        if self._denies(is_write):
            raise SinkFailed("permission denied", where="test", hint="none")

    def _run_again(self) -> None:
        """Another process, with a session of its own, which must be refused once ours has begun."""
        dify = self._shop.dify(token_store=MemoryTokenStore())
        rotation = self._shop.rotation(dify)
        with suppress(RotationRunning):
            rotation.apply(rotation.plan().plan.plan_id)

    def at(self, trouble: Trouble) -> None:
        """Where a crash of the sink, the ledger or the audit may happen."""
        self._jump()
        if self.trouble == trouble and self._counts():
            raise (
                SinkFailed("made to fail", where="test", hint="none")
                if (trouble == "sink fails")
                else Crash
            )
        self._checked()


def _is_write(method: str, path: str) -> bool:
    return method in ("POST", "DELETE") and "/api-keys" in path


class UnluckySink:
    """A sink in which the mishap may happen."""

    def __init__(self, name: str, sink: SecretSink, mishap: Mishap) -> None:
        self._name, self._sink, self._mishap = name, sink, mishap

    def place(self, entry: str) -> str:
        return self._sink.place(entry)

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        self._mishap.at("sink fails")
        self._mishap.deny(is_write=False)
        return self._sink.read(entry, stage)

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        self._around(lambda: self._sink.stage(entry, key_id, token))

    def promote(self, entry: str, key_id: str) -> None:
        self._around(lambda: self._sink.promote(entry, key_id), entry)

    def restore(self, entry: str) -> None:
        self._around(lambda: self._sink.restore(entry), entry)

    def discard(self, entry: str) -> None:
        self._around(lambda: self._sink.discard(entry))

    def _around(self, change: Callable[[], None], entry: str | None = None) -> None:
        self._mishap.at("sink fails")
        self._mishap.deny(is_write=True)
        self._mishap.at("crash before sink")
        change()
        if entry is not None:
            self._mishap.handed_over(self._name, entry)
        self._mishap.at("crash after sink")


class UnluckyLedger(RotationLedger):
    """A ledger in which the mishap may happen."""

    def __init__(self, shop: Workshop, mishap: Mishap) -> None:
        super().__init__(shop.home)
        self._mishap = mishap

    def write(self, rotation: Rotation) -> None:
        self._mishap.at("crash before ledger")
        super().write(rotation)
        self._mishap.at("crash after ledger")


class UnluckyTrail:
    """An audit in which the mishap may happen."""

    def __init__(self, shop: Workshop, mishap: Mishap) -> None:
        self._audit, self._mishap = shop.audit, mishap

    def record(self, entry: AuditEntry) -> None:
        self._mishap.at("crash before audit")
        self._audit.record(entry)
