"""`dify-etl keys`: whose API keys there are, and how they are replaced without anybody noticing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dify_etl.cli.clear_errors import FAILED, Debug, clear_errors
from dify_etl.cli.consoles import out
from dify_etl.cli.json_answers import Json, print_json
from dify_etl.cli.operating import Apply, opened_operator, show_lines, show_notes
from dify_etl.cli.plan_json import plan_json
from dify_etl.cli.shared_options import Commands

if TYPE_CHECKING:
    from dify_etl.operations.keys.planning import Asked, RotationPlan
    from dify_etl.operations.keys.running import KeyRotation
    from dify_etl.operations.keys.states import Rotation

keys = Commands(help="API keys: list them, and rotate them by the policy.", no_args_is_help=True)
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="The policy; else DIFY_ETL_ROTATION_POLICY, rotation.toml."),
]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", help="App, or `app / consumer`: due or not, and no other."),
]
Compromised = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY_ID", help="This key leaked: replace it and revoke it at once."),
]


@contextmanager
def _opened(policy: Path | None, *, is_policy_needed: bool = True) -> "Iterator[KeyRotation]":
    """The rotation of the settings; its ledger goes into the warehouse at the end."""
    from dify_etl.assembly.connection import effective_settings
    from dify_etl.assembly.key_rotation import key_rotation
    from dify_etl.assembly.ops_copies import fill_ops_tables_of

    with opened_operator() as context:
        try:
            yield key_rotation(
                context.operator,
                context.home,
                effective_settings(),
                policy=policy,
                is_policy_needed=is_policy_needed,
            )
        finally:
            fill_ops_tables_of(context.home)


@keys.command("list")
def list_keys(*, policy: PolicyFile = None, as_json: Json = False, debug: Debug = False) -> None:
    """Show every key: whose it is, how old, when it was used last. No key is shown."""
    with clear_errors(debug=debug):
        from dify_etl.cli.key_views import inventory_object, show_inventory

        # Whoever writes the first policy needs the ids that are shown here.
        with _opened(policy, is_policy_needed=False) as rotation:
            inventory = rotation.inventory()
        if as_json:
            print_json(inventory_object(inventory))
        else:
            show_inventory(out, inventory)


@keys.command("plan")
def plan_keys(
    *,
    policy: PolicyFile = None,
    target: Targets = None,
    compromised: Compromised = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what `rotate` would do now, and the id of that plan."""
    with clear_errors(debug=debug), _opened(policy) as rotation:
        planned = rotation.plan(_asked(target, compromised))
        _show(planned, as_json=as_json)
        if planned.stopped:
            raise typer.Exit(FAILED)


@keys.command("rotate")
def rotate_keys(
    *,
    policy: PolicyFile = None,
    target: Targets = None,
    compromised: Compromised = None,
    apply: Apply = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Begin rotations that are due and go on with open ones; without --apply only the plan."""
    with clear_errors(debug=debug), _opened(policy) as rotation:
        asked = _asked(target, compromised)
        planned = rotation.plan(asked)
        if apply is None:
            _show(planned, as_json=as_json)
        else:
            if not as_json:
                show_notes(out, planned.held_back)
            done = rotation.apply(apply, asked)
            _show_done(done, planned.held_back, as_json=as_json)
            if any(one.needs_person or one.state == "failed" or one.tries for one in done):
                raise typer.Exit(FAILED)
        if planned.stopped:
            raise typer.Exit(FAILED)


@keys.command("status")
def show_status(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    policy: PolicyFile = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show open rotations, what they wait for, and targets that cannot be rotated; exit code 1
    when one waits for a person.
    """
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings, home_of
        from dify_etl.operations.keys.ledger import RotationLedger

        found = RotationLedger(home_of(effective_settings())).rotations()
        shown = [one for one in found if everything or not one.is_over]
        if not as_json:
            _show_rotations(shown)
            if not shown:
                out.print("No rotation is open.")
        # What the ledger tells stands there already, should Dify not answer.
        problems = _problems(policy)
        if as_json:
            _show_done(shown, problems, as_json=True)
        else:
            show_notes(out, problems)
        if problems or any(one.needs_person for one in shown):
            raise typer.Exit(FAILED)


@keys.command("adopt")
def adopt_entry(
    target: Annotated[str, typer.Argument(help="App, or `app / consumer`, as `keys list` shows.")],
    *,
    policy: PolicyFile = None,
    apply: Apply = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Let rotations of a target overwrite what its entry holds now, though it is no key of it."""
    with clear_errors(debug=debug), _opened(policy) as rotation:
        if apply is None:
            _show(rotation.plan_adoption(target), as_json=as_json)
            return
        rotation.adopt(target, apply)
        if as_json:
            print_json({"plan_id": apply, "adopted": target})
        else:
            out.print("Adopted: the next rotation may overwrite it.")


@keys.command("rollback")
def roll_back_rotation(
    rotation_id: Annotated[
        str, typer.Argument(help="As `keys status` shows it; its start will do.")
    ],
    *,
    policy: PolicyFile = None,
    apply: Apply = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Give consumers the old key again and delete the new one, until the old one is revoked; exit
    code 1 when that is not done yet.
    """
    with clear_errors(debug=debug), _opened(policy) as rotation:
        if apply is None:
            _show(rotation.plan_rollback(rotation_id), as_json=as_json)
            return
        done = rotation.roll_back(rotation_id, apply)
        _show_done([done], as_json=as_json)
        if done.state != "rolled_back":
            raise typer.Exit(FAILED)


def _problems(policy: Path | None) -> tuple[str, ...]:
    """What of the policy cannot be. Without a target nothing of Dify is asked."""
    from dify_etl.assembly.connection import effective_settings
    from dify_etl.operations.keys.errors import PolicyMissing
    from dify_etl.operations.keys.inventory import policy_problems
    from dify_etl.operations.keys.policy import read_policy

    try:
        rules = read_policy(policy or effective_settings().rotation_policy)
    except PolicyMissing:
        if policy is not None:
            raise
        return ()
    if not rules.targets:
        return ()
    with opened_operator() as context:
        return policy_problems(context.operator.dify, rules)


def _asked(target: list[str] | None, compromised: list[str] | None) -> "Asked":
    from dify_etl.operations.keys.planning import Asked

    return Asked(tuple(target or ()), frozenset(compromised or ()))


def _show(planned: "RotationPlan", *, as_json: bool) -> None:
    if as_json:
        typer.echo(plan_json(planned.plan, planned.held_back))
        return
    show_notes(out, planned.held_back)
    if not planned.plan.steps:
        out.print("Nothing is to be done.")
        return
    show_lines(out, planned.plan.lines())
    out.print(
        f"Nothing was changed. To do exactly this, add --apply {planned.plan.plan_id}",
        highlight=False,
    )


def _show_done(
    rotations: "Sequence[Rotation]", notes: Sequence[str] = (), *, as_json: bool
) -> None:
    if as_json:
        from dify_etl.cli.key_views import rotation_object

        told = [rotation_object(one) for one in rotations]
        print_json({"rotations": told, "notes": [*notes]})
    else:
        _show_rotations(rotations)


def _show_rotations(rotations: "Sequence[Rotation]") -> None:
    from dify_etl.operations.keys.planning import NO_WAY_BACK

    for one in rotations:
        colour = "red" if one.needs_person or one.state == "failed" else "green"
        no_way_back = NO_WAY_BACK if one.has_no_way_back and not one.is_over else ""
        told = "; ".join(line for line in (one.message, no_way_back) if line)
        told = f": {told}" if told else ""
        out.print(
            f"[{colour}]{one.state}[/] {escape(one.name + told)} (rotation {one.rotation_id[:12]})",
            highlight=False,
            soft_wrap=True,
        )
