"""The formats of an answer: the command line names them in its help, before anything is loaded."""

from enum import StrEnum


class QueryFormat(StrEnum):
    """How an answer is shown."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
