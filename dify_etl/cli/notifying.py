"""`dify-etl notify`: look and send now, show what would be sent, or try every target."""

from dataclasses import asdict

from rich.console import Console

from dify_etl.alerts.evaluating import Evaluation, known_source, waiting_messages
from dify_etl.alerts.ledger import open_ledger
from dify_etl.alerts.messages import trial_message
from dify_etl.assembly.alerting import Alerts, alerts_of
from dify_etl.assembly.connection import effective_settings, home_of
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.json_answers import print_json
from dify_etl.settings import SettingWrong

LOOK_WAIT_SECONDS = 10.0


def run_notify(console: Console, *, is_test: bool, is_dry_run: bool, is_json: bool = False) -> int:
    """1 when a target did not take its message. SettingWrong without DIFY_ETL_NOTIFY, which a dry
    run does not need.
    """
    settings = effective_settings()
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
    tell = teller(err)
    messages = waiting_messages(
        alerts.home,
        alerts.targets,
        alerts.moment(),
        alerts.source(),
        tell=tell,
        wait_seconds=LOOK_WAIT_SECONDS,
    )
    if is_json:
        print_json([{"title": one.title, "body": one.body} for one in messages])
        return 0
    show = teller(console)
    for one in messages:
        show(f"{one.title}\n{one.body}\n")
    if not messages:
        show("Nothing would be sent.")
    return 0


def _evaluate(console: Console, alerts: Alerts, *, is_json: bool) -> int:
    done = alerts.evaluate(teller(err), wait_seconds=LOOK_WAIT_SECONDS)
    if is_json:
        print_json(done and asdict(done))
    elif done is not None:
        _show_evaluation(console, done)
    return 1 if done is not None and done.undelivered else 0


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
