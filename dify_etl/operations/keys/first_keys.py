"""The first key of an app, for each consumer that the policy names: a rotation without an old key.

Whatever stops it, the ledger knows how far it came, and the next call goes on from there.
"""

from collections.abc import Sequence

from dify_etl.operations.first_keys import DeployedApp, WaitingConsumer
from dify_etl.operations.keys.errors import RotationRefused
from dify_etl.operations.keys.planning import Asked
from dify_etl.operations.keys.policy import TargetRule
from dify_etl.operations.keys.running import KeyRotation
from dify_etl.operations.keys.states import Rotation


class PolicyFirstKeys:
    """First keys by the policy of a rotation."""

    def __init__(self, rotation: KeyRotation) -> None:
        self._rotation = rotation

    def waiting(self, app: DeployedApp) -> Sequence[WaitingConsumer]:
        """The consumers of the app whose entry is empty, or whose first key is on its way."""
        if {app.app_id, app.name} & {*self._rotation.policy.exclude.apps}:
            return ()
        rules = [rule for rule in self._rotation.policy.targets if _is_of(rule, app)]
        return tuple(
            WaitingConsumer(rule.consumer, self._place(rule, app))
            for rule in rules
            if self._is_on_its_way(rule, app) or self._is_empty(rule, app)
        )

    def make(self, app: DeployedApp, consumer: str) -> str:
        """As the protocol says. RotationRefused when the key is not with its consumer yet."""
        name = f"{app.name} / {consumer}"
        done = self._rotation.apply(None, Asked((name,)))
        own = [one for one in done if (one.app_id, one.consumer) == (app.app_id, consumer)]
        if own and own[-1].is_promoted:
            return f"key {own[-1].new_key_id} is in the sink"
        told = own[-1].message if own else "; ".join(self._held_back(name))
        raise RotationRefused(
            f"the first key is not with its consumer yet: {told or 'nothing was begun'}",
            where=name,
            hint="`dify-etl keys status` tells more. Deploy again: it goes on from there.",
        )

    def _held_back(self, name: str) -> tuple[str, ...]:
        return self._rotation.plan(Asked((name,))).held_back

    def _place(self, rule: TargetRule, app: DeployedApp) -> str:
        place = self._rotation.sinks[rule.sink].place(_entry(rule, app))
        return f"{rule.sink}: {place}"

    def _is_empty(self, rule: TargetRule, app: DeployedApp) -> bool:
        """An entry with the app's id is empty as long as there is no app."""
        if app.app_id is None and "{app_id}" in rule.entry:
            return True
        return self._rotation.sinks[rule.sink].read(_entry(rule, app), "current") is None

    def _is_on_its_way(self, rule: TargetRule, app: DeployedApp) -> bool:
        return any(_is_first(one, rule, app) for one in self._rotation.ledger.rotations())


def _is_of(rule: TargetRule, app: DeployedApp) -> bool:
    """Whether a rule means the app. One for the datasets means none, and a new app has no id."""
    if rule.tag:
        return rule.tag in app.tags
    return rule.app is not None and rule.app in (app.app_id, app.name)


def _entry(rule: TargetRule, app: DeployedApp) -> str:
    return rule.entry if app.app_id is None else rule.entry.replace("{app_id}", app.app_id)


def _is_first(rotation: Rotation, rule: TargetRule, app: DeployedApp) -> bool:
    """Whether an open rotation replaces nothing and is for this consumer of the app. One that has
    only to be proven stands in nobody's way: a call would begin another.
    """
    of_it = (rotation.app_id, rotation.consumer, rotation.entry)
    is_same = app.app_id is not None and of_it == (app.app_id, rule.consumer, _entry(rule, app))
    is_on_its_way = not rotation.is_over and rotation.state != "revoked"
    return is_same and is_on_its_way and not rotation.old_key_ids
