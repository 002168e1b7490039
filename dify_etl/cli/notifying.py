"""`dify-etl notify`: look and send now, show what would be sent, or try every target."""

from dataclasses import asdict

from rich.console import Console

from dify_etl.alerts.evaluating import Evaluation, known_source, waiting_messages
from dify_etl.alerts.ledger import open_ledger
from dify_etl.alerts.messages import trial_message
from dify_etl.assembly.alerting import Alerts, alerts_of
from dify_etl.assembly.connection import effective_settings, home_of
from dify_etl.cli.clear_errors import FAILED
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.json_answers import print_json
from dify_etl.home import Home
from dify_etl.settings import SettingWrong
from dify_etl.sync.lock import holder
from dify_etl.warehouse.errors import NothingPublished

LOOK_WAIT_SECONDS = 10.0


def run_notify(console: Console, *, is_test: bool, is_dry_run: bool, is_json: bool = False) -> int:
    """1 when a target did not take its message, or something could not be looked at. SettingWrong
    without DIFY_ETL_NOTIFY, which a dry run does not need; NothingPublished, of a dry run: there is
    no home to look at.
    """
    settings = effective_settings()
    if is_dry_run:
        _check_home(Home(home_of(settings)))
    alerts = alerts_of(settings, may_be_simulated=True)
    if is_dry_run:
        return _show(console, alerts or Alerts(home_of(settings), settings, ()), is_json=is_json)
    if alerts is None:
        raise SettingWrong(
            "DIFY_ETL_NOTIFY is not set, so there is nobody to tell",
            where="environment and .env",
            hint="Set it to URLs of Apprise with blanks between them, for example "
            "DIFY_ETL_NOTIFY=mailto://etl:password@mail.example.com?to=ops@example.com.",
        )
    do = _try_all if is_test else _evaluate
    return do(console, alerts, is_json=is_json)


def _check_home(home: Home) -> None:
    """A command in the wrong folder would find nothing wrong, night after night."""
    if not home.live.exists() and not home.alerts.exists():
        raise NothingPublished(
            "there is nothing to look at: no sync was ever begun here",
            where=str(home.path),
            hint="Run it in the folder that has .env, or set DIFY_ETL_HOME; `dify-etl sync` makes "
            "the home.",
        )


def _try_all(console: Console, alerts: Alerts, *, is_json: bool) -> int:
    with open_ledger(alerts.home, is_copy=True) as ledger:
        trial = trial_message(known_source(ledger, alerts.source()))
    refused = {target.name: target.send(trial) for target in alerts.targets}
    if is_json:
        print_json(
            [
                {"target": name, "is_delivered": not why, "reason": why}
                for name, why in refused.items()
            ]
        )
    for name, why in refused.items() if not is_json else ():
        told = f"not delivered: {why}" if why else "delivered"
        console.print(f"{name}: {told}", highlight=False, markup=False)
    return 1 if any(refused.values()) else 0


def _show(console: Console, alerts: Alerts, *, is_json: bool) -> int:
    not_looked: list[str] = []

    def tell(line: str) -> None:
        not_looked.append(line)
        teller(err)(line)

    messages = waiting_messages(
        alerts.home,
        alerts.targets,
        alerts.moment(),
        alerts.source(),
        tell=tell,
        wait_seconds=LOOK_WAIT_SECONDS,
    )
    code = _code_of(alerts, is_all_looked_at=not not_looked)
    if is_json:
        print_json([{"title": one.title, "body": one.body} for one in messages])
        return code
    show = teller(console)
    for one in messages:
        show(f"{one.title}\n{one.body}\n")
    if not messages:
        show(f"Nothing would be sent{' of what could be looked at' if not_looked else ''}.")
    return code


def _code_of(alerts: Alerts, *, is_all_looked_at: bool) -> int:
    """A sync that runs looks at its end; what nobody could look at may be red."""
    return 0 if is_all_looked_at or holder(alerts.home) is not None else FAILED


def _evaluate(console: Console, alerts: Alerts, *, is_json: bool) -> int:
    done = alerts.evaluate(teller(err), wait_seconds=LOOK_WAIT_SECONDS)
    if is_json:
        print_json(done and asdict(done))
    elif done is not None:
        _show_evaluation(console, done)
    if done is None:
        return 0
    return FAILED if done.undelivered else _code_of(alerts, is_all_looked_at=not done.not_looked)


def _show_evaluation(console: Console, done: Evaluation) -> None:
    found = "incident is" if len(done.incidents) == 1 else "incidents are"
    sent = "message" if done.sent == 1 else "messages"
    console.print(
        f"{len(done.incidents)} {found} open; {done.sent} {sent} sent, "
        f"{done.undelivered} not delivered.",
        highlight=False,
    )
    if done.not_looked:
        console.print(f"Not looked at: {', '.join(done.not_looked)}.", highlight=False)
