"""What every part of a message carries."""

from pydantic import Field

from dify_etl.dify.record import Id, Record


class MessageChild(Record):
    """What every part of a message carries."""

    needs = frozenset({"app_id", "conversation_id", "message_id"})

    app_id: Id = Field(description="id of the app")
    conversation_id: Id = Field(description="id of the conversation")
    message_id: Id = Field(description="id of the message")
