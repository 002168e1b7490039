"""The rotation of keys as the settings and the policy say."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from dify_etl.operations.applying import Operator
from dify_etl.operations.keys.errors import PolicyMissing
from dify_etl.operations.keys.first_keys import PolicyFirstKeys
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.policy import Policy, read_policy
from dify_etl.operations.keys.running import KeyRotation
from dify_etl.operations.keys.sinks.command import shown_environment
from dify_etl.operations.keys.sinks.opening import open_sink
from dify_etl.operations.keys.targets import used_sinks
from dify_etl.operations.keys.work import Notify, nobody
from dify_etl.settings import Settings

NOTIFY_SECONDS = 60.0


def key_rotation(
    operator: Operator,
    home: Path,
    settings: Settings,
    *,
    policy: Path | None = None,
    is_policy_needed: bool = True,
) -> KeyRotation:
    """Everything opened: policy, sinks, ledger. PolicyWrong, SinkFailed, SinkNotInstalled.

    Where no policy is needed and none is named, a missing file is an empty policy.
    """
    try:
        rules = read_policy(policy or settings.rotation_policy)
    except PolicyMissing:
        if is_policy_needed or policy is not None:
            raise
        rules = Policy()
    ledger = RotationLedger(home)
    used = used_sinks(rules, ledger.rotations())
    command = rules.notify.command if rules.notify else None
    return KeyRotation(
        dify=operator.dify,
        policy=rules,
        sinks={name: open_sink(config) for name, config in rules.sinks.items() if name in used},
        ledger=ledger,
        trail=operator.trail,
        actor=operator.actor,
        service_api_url=settings.service_api_url,
        notify=_notifier(command) if command else nobody,
    )


def first_keys_of(operator: Operator, home: Path, settings: Settings) -> PolicyFirstKeys:
    """First keys by the policy of the settings; without one nobody waits for a key."""
    return PolicyFirstKeys(key_rotation(operator, home, settings, is_policy_needed=False))


def _notifier(command: Sequence[str]) -> Notify:
    """Runs the policy's command; when it fails, the rotation goes on all the same."""

    def notify(event: Mapping[str, JsonValue]) -> None:
        try:
            subprocess.run(  # nosec B603 # the operator's own policy names the program
                command,
                input=json.dumps(dict(event)).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=NOTIFY_SECONDS,
                env=shown_environment(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return

    return notify
