"""What Dagster loads: puts the pieces together, decides nothing."""

import dagster as dg

from dify_etl.defs.code_location import code_location

defs: dg.Definitions = code_location()
