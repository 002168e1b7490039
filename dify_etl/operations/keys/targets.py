"""From the rules of a policy to targets: one consumer of one app (or of the datasets)."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dify_etl.dify.app_records import App
from dify_etl.operations.keys.policy import Policy, TargetRule
from dify_etl.operations.keys.states import Rotation

DATASETS = "(datasets)"
# What Dify's ids are. Anything else could be a path in a sink.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class KeyTarget:
    """Who gets a key, and where from. `app_id` is None for the keys of the datasets."""

    app_id: str | None
    app_name: str
    consumer: str
    sink: str
    entry: str
    rule: TargetRule

    @property
    def target_id(self) -> str:
        """The same for the same app, consumer, sink and entry."""
        parts = [self.app_id, self.consumer, self.sink, self.entry]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """For people: the app and its consumer."""
        return f"{self.app_name} / {self.consumer}"


@dataclass(frozen=True)
class Readers:
    """Whose entries may hold a key: more than targets, since a key that somebody still gets must
    not be deleted, whatever keeps a target from being rotated today.
    """

    policy: Policy = field(default_factory=Policy)
    apps: Sequence[App] = ()

    def of_app(self, app_id: str | None) -> Iterator[KeyTarget]:
        """All rules that may mean this app (None: the datasets): by its id, by a tag of it, and by
        any name. Whoever may name apps chooses which one a name means: several, none, or another.
        """
        names = {app.app_id: app.name for app in self.apps}
        tagged = [app for app in self.apps if app.app_id == app_id]
        for rule in self.policy.targets:
            if rule.datasets:
                is_meant, name = app_id is None, DATASETS
            elif app_id is None:
                continue
            elif rule.tag:
                is_meant = any(rule.tag in app.tag_values("name") for app in tagged)
                name = names.get(app_id, app_id)
            else:
                is_meant = rule.app == app_id or rule.app not in names
                name = names.get(app_id, app_id) if rule.app == app_id else str(rule.app)
            if is_meant:
                entry = rule.entry.replace("{app_id}", app_id or "")
                yield KeyTarget(app_id, name, rule.consumer, rule.sink, entry, rule)

    def means_another(self, rule: TargetRule, app_id: str | None) -> bool:
        """Whether a rule names an app that there is once, and that is not this one: then its entry
        holds a key of this one only where the name was given to another app since.
        """
        named = [app.app_id for app in self.apps if app.name == rule.app]
        return rule.app != app_id and len(named) == 1 and named[0] != app_id


def is_target_gone(rotation: Rotation, readers: Readers) -> bool:
    """Whether the app of a rotation is no more, or the policy means no such target any more."""
    policy, app_id = readers.policy, rotation.app_id
    apps = [app for app in readers.apps if app.app_id == app_id]
    if app_id is not None and all(_is_excluded(app, policy) for app in apps):
        return True
    return all(one.target_id != rotation.target_id for one in readers.of_app(app_id))


def targets_of(policy: Policy, apps: Sequence[App]) -> tuple[tuple[KeyTarget, ...], list[str]]:
    """All targets, and what of the policy cannot be: it fits no app or several, or two targets
    have one entry of a sink.
    """
    found: list[KeyTarget] = []
    problems = _excluded_duplicates(policy, apps)
    for rule in policy.targets:
        if rule.datasets:
            found.append(KeyTarget(None, DATASETS, rule.consumer, rule.sink, rule.entry, rule))
            continue
        meant = [app for app in _meant(rule, apps) if not _is_excluded(app, policy)]
        if odd := [app for app in meant if not _ID.fullmatch(app.app_id)]:
            problems.append(
                f"target {rule.consumer!r}: the id {odd[0].app_id!r} of an app is no UUID, so it "
                "names no place in a sink"
            )
            continue
        if rule.app and len(meant) != 1:
            what = _several(meant) if meant else "there is no such app"
            problems.append(f"target {rule.consumer!r}, app {rule.app!r}: {what}")
            continue
        found.extend(_target(rule, app) for app in meant)
    shared = _shared_places(found)
    problems += [
        f"sink {sink!r}, entry {entry!r}: several targets share it" for sink, entry in shared
    ]
    # They would take the entry from each other, so none of them is rotated.
    return tuple(one for one in found if (one.sink, one.entry) not in shared), problems


def used_sinks(policy: Policy, rotations: Iterable[Rotation]) -> frozenset[str]:
    """Names of the policy's sinks that a target or an open rotation uses: a target may have left
    its sink, or the policy, since its rotation began.
    """
    named = {rule.sink for rule in policy.targets}
    named |= {one.sink for one in rotations if not one.is_over}
    return frozenset(named & {*policy.sinks})


def _several(apps: Sequence[App]) -> str:
    """Whoever may name an app can make such a twin: only the ids tell which one was meant."""
    ids = ", ".join(sorted(app.app_id for app in apps))
    return f"{len(apps)} apps have this name, and none is chosen: write an id for it ({ids})"


def _excluded_duplicates(policy: Policy, apps: Sequence[App]) -> list[str]:
    """A name under exclude.apps that several apps have: one of them may only be called so."""
    named = {name: [app for app in apps if app.name == name] for name in policy.exclude.apps}
    return [
        f"exclude, app {name!r}: {_several(meant)}"
        for name, meant in named.items()
        if len(meant) > 1 and not any(app.app_id == name for app in apps)
    ]


def _meant(rule: TargetRule, apps: Sequence[App]) -> list[App]:
    if rule.tag:
        return [app for app in apps if rule.tag in app.tag_values("name")]
    by_id = [app for app in apps if app.app_id == rule.app]
    return by_id or [app for app in apps if app.name == rule.app]


def _is_excluded(app: App, policy: Policy) -> bool:
    # A name that several apps have excludes all of them, and is told as a problem.
    return app.app_id in policy.exclude.apps or app.name in policy.exclude.apps


def _target(rule: TargetRule, app: App) -> KeyTarget:
    entry = rule.entry.replace("{app_id}", app.app_id)
    return KeyTarget(app.app_id, app.name, rule.consumer, rule.sink, entry, rule)


def _shared_places(targets: Sequence[KeyTarget]) -> list[tuple[str, str]]:
    places = [(target.sink, target.entry) for target in targets]
    return sorted({place for place in places if places.count(place) > 1})
