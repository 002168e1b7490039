"""The groups of assets. Dagster sorts them by name: the numbers put them on the way of the data."""

RAW = "1_raw"
STAGING = "2_staging"
MARTS = "3_marts"
EXPORTS = "4_exports"
PUBLICATION = "5_publication"
OPERATIONS = "6_operations"
KEYS = "7_keys"
GROUPS = (RAW, STAGING, MARTS, EXPORTS, PUBLICATION, OPERATIONS, KEYS)


def group_of_schema(schema: str) -> str:
    """The group of what is made into this schema of the warehouse."""
    return {"staging": STAGING, "marts": MARTS, "exports": EXPORTS}[schema]
