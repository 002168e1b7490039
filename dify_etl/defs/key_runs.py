"""One run over API keys in Dagster: what it was asked for, and how it tells what it did."""

import dagster as dg
from pydantic import Field

from dify_etl.assembly.connection import effective_settings
from dify_etl.assembly.key_rotation import key_rotation
from dify_etl.assembly.ops_copies import fill_ops_tables_of
from dify_etl.defs.markdown import table
from dify_etl.defs.operation_runs import DifyOperations, consume_token
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.keys.errors import PolicyMissing
from dify_etl.operations.keys.inventory import Inventory
from dify_etl.operations.keys.planning import Asked
from dify_etl.operations.keys.running import KeyRotation
from dify_etl.operations.plan import Plan
from dify_etl.operations.request import GIVEN_BY_A_SCHEDULE


class KeyOperations(DifyOperations):
    """What is done with API keys. Without a word nothing is changed, only the plan is shown."""

    targets: list[str] = Field(
        default=[], description="Apps, or `app / consumer`: due or not, and no other."
    )
    compromised: list[str] = Field(
        default=[], description="Ids of keys that leaked: replaced and revoked at once."
    )
    dry_run: bool = Field(default=True, description="Only show the plan; false applies it.")
    plan_id: str = Field(
        default="", description="Id of the plan that a dry run showed; needed to apply it."
    )
    schedule_token: str = Field(default="", description=GIVEN_BY_A_SCHEDULE)
    rollback: str = Field(
        default="", description="For the job roll_back_api_keys: id of the rotation to take back."
    )
    adopt: str = Field(
        default="",
        description="For the job adopt_entry: app, or `app / consumer`, whose entry may be "
        "overwritten.",
    )

    @property
    def asked(self) -> Asked:
        """What a person asks for beyond the policy."""
        return Asked(tuple(self.targets), frozenset(self.compromised))

    def rotation(self) -> KeyRotation:
        """Policy, sinks and ledger of this run.

        No run chooses its policy: a policy names programs, and planning already runs them.
        """
        return key_rotation(self.operator, self.home, effective_settings())

    def look(self) -> KeyRotation:
        """For an inventory: without a policy file, where none was asked for, no key has a rule."""
        return self.rotation_of_policy() or key_rotation(
            self.operator, self.home, effective_settings(), is_policy_needed=False
        )

    def rotation_of_policy(self) -> KeyRotation | None:
        """The rotation; None when there is no policy file and nobody asked for one.

        PolicyMissing when a file is set, or when keys are to be rotated: a schedule whose policy
        was lost must not stay green.
        """
        try:
            return self.rotation()
        except PolicyMissing:
            if effective_settings().is_policy_named or not self.dry_run:
                raise
            return None

    def agreed_id(
        self, context: dg.AssetExecutionContext, operation: str, plan: Plan | None = None
    ) -> str | None:
        """The id of the plan to apply; None for that of now, in a run of the schedule.

        InputWrong: nobody has seen a plan, or the run of a schedule asks for more than the policy.
        """
        if self.plan_id:
            return self.plan_id
        if self.schedule_token and self.asked != Asked():
            raise InputWrong(
                "a schedule rotates what its policy says is due, and nothing that is asked for",
                where=operation,
                hint="Leave schedule_token out, run it with dry_run, and give the plan's id.",
            )
        consume_token(context, self.home, self.schedule_token, operation, plan)
        return None

    def fill_ops_tables(self) -> None:
        """Rotations and audit for analysts; when the database is held, the next run brings them."""
        fill_ops_tables_of(self.home, wait_seconds=self.audit_wait_seconds)


def inventory_table(inventory: Inventory) -> dg.MetadataValue:
    """A line per key; no key is shown whole."""
    headings = ("app", "key", "standing", "consumer", "days old", "last used")
    rows = [
        (
            held.app_name,
            f"{held.key.api_key_id} ({held.key.masked_token})",
            held.standing,
            held.target.consumer if held.target else "",
            str(held.age_days(inventory.at)),
            str(held.key.last_used_at or "never"),
        )
        for held in inventory.keys
    ]
    return dg.MetadataValue.md(table(headings, rows))


NO_POLICY = "skipped: there is no policy file, so no key is rotated (`dify-etl docs key-rotation`)"
