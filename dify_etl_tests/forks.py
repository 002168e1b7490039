"""Processes that need not import anything: they are forked from one that has imported everything.

Dagster alone takes longer to import than most of what the tests start takes to run.
"""

from multiprocessing import get_context

FORKS = get_context("forkserver")
# Not `dify_etl.cli`: its consoles look at the streams of their process when they are made.
FORKS.set_forkserver_preload(
    [
        "dify_etl.defs.code_location",
        "dify_etl_tests.crashes.short_runs",
        "dify_etl_tests.cli.command_line",
        "dify_etl_tests.preloaded",
    ]
)
