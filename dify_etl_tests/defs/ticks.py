"""A tick of a schedule, as the daemon has it evaluated."""

import dagster as dg

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.code_location import code_location


def ticked(job: str) -> dg.RunRequest:
    """The run that the schedule of a job asks for now."""
    schedule = code_location(effective_settings()).resolve_schedule_def(f"{job}_schedule")
    with dg.build_schedule_context() as context:
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    return request
