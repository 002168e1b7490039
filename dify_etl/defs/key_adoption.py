"""The job `adopt_entry`: rotations of a target may overwrite what its entry holds, once agreed."""

import dagster as dg

from dify_etl.defs.key_runs import KeyOperations
from dify_etl.defs.location import Location
from dify_etl.defs.operation_runs import nobody_agreed, plan_metadata
from dify_etl.defs.resources import clear_failures

ADOPT = "adopt_entry"
_WORDS = "Let rotations of a target overwrite what its entry holds, by the id of its plan."


def adoption_job(at: Location) -> dg.JobDefinition:
    """Adopts the entry of the target `adopt` of the config; a dry run unless told otherwise."""

    @dg.op(name=f"run_{ADOPT}", description=_WORDS, pool=at.pool)
    def adopt(key_operations: KeyOperations) -> dg.Output[None]:
        with clear_failures():
            rotation, target = key_operations.rotation(), key_operations.adopt
            planned = rotation.plan_adoption(target)
            metadata = plan_metadata(planned.plan, planned.held_back)
            if not key_operations.dry_run:
                try:
                    if not key_operations.plan_id:  # no schedule adopts anything
                        raise nobody_agreed(planned.plan.operation, planned.plan)
                    rotation.adopt(target, key_operations.plan_id)
                finally:
                    key_operations.fill_ops_tables()
        return dg.Output(None, metadata=metadata)

    @dg.job(name=ADOPT, tags=at.tags, description=_WORDS)
    def job() -> None:
        adopt()

    return job
