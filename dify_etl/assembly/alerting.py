"""Alerts of the settings' home: what a run notes of itself, and the evaluation after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dify_etl.alerts.incidents import Moment, plain_words
from dify_etl.alerts.source import Source, host_of
from dify_etl.assembly.connection import Tell, home_of
from dify_etl.assembly.home_files import fingerprint_key
from dify_etl.assembly.night_times import nights_due
from dify_etl.errors import ActionableError, is_interrupt
from dify_etl.settings import Settings
from dify_etl.sync.errors import AnotherSync
from dify_etl.time_zones import utc_now

# Most homes send no alerts, and what finds them looks at all of dify-etl: no run waits for its
# import before it asks Dify.
if TYPE_CHECKING:
    from dify_etl.alerts.evaluating import Evaluation
    from dify_etl.alerts.ledger import Night, Outcome
    from dify_etl.alerts.targets import Target

WHAT_LENGTH = 300
# Whoever waits behind a sync that goes on has nothing to say: that one does.
SKIPPED = AnotherSync.__name__
LOCK_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Alerts:
    """The home that alerts are about, its settings, and where they go."""

    home: Path
    settings: Settings
    targets: tuple["Target", ...]

    def moment(self) -> Moment:
        """Now."""
        now = utc_now()
        return Moment(now, self.settings.zone, nights_due(self.settings, now))

    def source(self) -> Source:
        """What the settings say of whom messages are about."""
        settings = self.settings
        server = "the simulated Dify" if settings.is_simulated else host_of(settings.base_url)
        return Source(
            workspace=settings.workspace or "", server=server, home=self.home.absolute().name
        )

    def note(self, night: "Night") -> None:
        """Keep how a night ended; without an outcome, that it begins."""
        from dify_etl.alerts.ledger import open_ledger

        with open_ledger(self.home) as ledger:
            if night.outcome is None:
                ledger.begin_night(night.run_id, night.began_at)
            else:
                ledger.end_night(night)

    def evaluate(
        self, tell: Tell, *, wait_seconds: float = LOCK_WAIT_SECONDS
    ) -> "Evaluation | None":
        """Look and send; None when another process does, which is said."""
        from dify_etl.alerts.evaluating import AlertsBusy, evaluate

        try:
            return evaluate(
                self.home,
                self.targets,
                self.moment(),
                self.source(),
                tell=tell,
                wait_seconds=wait_seconds,
            )
        except AlertsBusy:
            tell("alerts are being sent by another process")
            return None


def alerts_of(settings: Settings, *, may_be_simulated: bool = False) -> Alerts | None:
    """The alerts of the settings; None without DIFY_ETL_NOTIFY, and of the simulated Dify unless
    somebody asks for them: nobody is woken for a demo. SettingWrong names a wrong URL.
    """
    if not settings.notify_urls or (settings.is_simulated and not may_be_simulated):
        return None
    from dify_etl.alerts.targets import open_targets

    home = home_of(settings)
    targets = open_targets(settings.notify_urls, key=fingerprint_key(home))
    return Alerts(home, settings, targets)


@dataclass
class NightNote:
    """What a run says of its own end; unless it says so, it has failed."""

    outcome: "Outcome" = "failed"
    what: str = ""

    def published(self) -> None:
        """It went through: what is not whole, the ledger of syncs tells."""
        self.outcome = "published"

    def failed(self, what: str, kind: str) -> None:
        """It published nothing; `kind` is the class of the error, `what` holds no secret."""
        self.outcome = "skipped" if kind == SKIPPED else "failed"
        self.what = plain_words(f"{kind}: {what}" if what else kind, WHAT_LENGTH)


@contextmanager
def noted_night(
    alerts: Alerts | None, run_id: str, *, is_night: bool, tell: Tell
) -> Iterator[NightNote]:
    """Note how the night inside went, and evaluate after it, whether it is a whole night or not.

    Its error is raised as it is. What goes wrong with alerts is said and ends nothing. A run that
    a person stopped sends nothing.
    """
    note = NightNote()
    if alerts is None:
        yield note
        return
    from dify_etl.alerts.ledger import Night

    began = utc_now()
    try:
        if is_night:
            _guarded(tell, lambda: alerts.note(Night(run_id, began, None, None, "")))
        yield note
    except KeyboardInterrupt:
        note.outcome = "interrupted"
        raise
    except Exception as error:
        note.outcome = "interrupted" if is_interrupt(error) else note.outcome
        if note.outcome == "failed":
            note.failed(words_of(error), type(error).__name__)
        raise
    finally:
        if is_night:
            night = Night(run_id, began, utc_now(), note.outcome, note.what)
            _guarded(tell, lambda: alerts.note(night))
        if note.outcome != "interrupted":
            _guarded(tell, lambda: alerts.evaluate(tell))


def words_of(error: Exception) -> str:
    """What one of our errors says and where; of any other nothing, since it may quote a value."""
    return f"{error.what} ({error.where})" if isinstance(error, ActionableError) else ""


def _guarded(tell: Tell, do: Callable[[], object]) -> None:
    """Alerts end no night."""
    try:
        do()
    except Exception as error:
        told = error.what if isinstance(error, ActionableError) else type(error).__name__
        tell(f"alerts could not be evaluated: {told}")
