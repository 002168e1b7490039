"""JSON of free form that stays a text."""

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dify_etl.dify.http.deny_list import text_without_secrets
from dify_etl.dify.http.exact_json import decode, encode


class JsonText(str):
    """JSON of free form, as compact JSON text as Dify sent it; `load()` gives the value.

    Dify's answers hold live tokens, so this may: what shows or keeps it takes them out first
    (`deny_list`), as the reprs of records and the frames of the warehouse do.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(text_without_secrets(str(self)))

    def load(self) -> Any:
        """The Python value of the text."""
        return decode(self.encode())

    @classmethod
    def of(cls, value: Any) -> "JsonText":
        """Dump a parsed JSON value; raises ValueError when it is not JSON."""
        return cls(encode(value))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of)
