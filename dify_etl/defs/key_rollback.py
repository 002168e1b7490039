"""The job `roll_back_api_keys`: consumers get the old key again, the new one is deleted."""

import dagster as dg

from dify_etl.defs.key_runs import KeyOperations
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import listed
from dify_etl.defs.operation_runs import nobody_agreed, plan_metadata
from dify_etl.defs.resources import clear_failures
from dify_etl.operations.keys.judging import rotation_lines

ROLL_BACK = "roll_back_api_keys"


def rollback_job(at: Location) -> dg.JobDefinition:
    """Takes the rotation `rollback` of the config back; a dry run unless told otherwise."""

    @dg.op(
        name=f"run_{ROLL_BACK}",
        description="Take a rotation back, by the id of its plan.",
        pool=at.pool,
    )
    def roll_back(key_operations: KeyOperations) -> dg.Output[None]:
        with clear_failures():
            rotation, chosen = key_operations.rotation(), key_operations.rollback
            planned = rotation.plan_rollback(chosen)
            metadata = plan_metadata(planned.plan, planned.held_back)
            if not key_operations.dry_run:
                try:
                    if not key_operations.plan_id:  # no schedule takes a rotation back
                        raise nobody_agreed(planned.plan.operation, planned.plan)
                    done = rotation.roll_back(chosen, key_operations.plan_id)
                finally:
                    key_operations.fill_ops_tables()
                metadata["rotations"] = listed(rotation_lines([done]))
                if done.state != "rolled_back":
                    raise dg.Failure(
                        description=f"the rotation is {done.state}, and not taken back: "
                        f"{done.message}",
                        metadata=metadata,
                        allow_retries=False,
                    )
        return dg.Output(None, metadata=metadata)

    @dg.job(
        name=ROLL_BACK,
        tags=at.tags,
        description="Take a rotation of an API key back; a dry run first.",
    )
    def job() -> None:
        roll_back()

    return job
