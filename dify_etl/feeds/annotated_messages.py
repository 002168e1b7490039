"""Which conversations hold a message whose annotation is not the one that feed annotations read.

An annotation that is written, rewritten or deleted moves no time and no count of a conversation.
"""

from dify_etl.raw.privacy import DROPPED
from dify_etl.warehouse.tables import quoted

# A message that was read while its annotation was written: the ledger is written later.
_READ_MEANWHILE = "INTERVAL 1 HOUR"

# SQL for conversation ids. A new annotation names no message, but its question is the message's.
ANNOTATED_OTHERWISE = f"""
    SELECT m.conversation_id FROM raw.annotations a
    JOIN raw.messages m ON m.annotation_id = a.annotation_id
    WHERE a.absent_since IS NOT NULL OR a.answer IS DISTINCT FROM m.annotation_content
        OR a.question IS DISTINCT FROM m.annotation_question
    UNION
    SELECT m.conversation_id FROM raw.annotations a
    JOIN raw.messages m ON m.app_id = a.app_id AND m.query = a.question
        AND m.query <> {quoted(DROPPED)}
    JOIN ops.conversation_reads r ON r.conversation_id = m.conversation_id
    WHERE a.absent_since IS NULL AND m.annotation_id IS NULL
        AND a.created_at > r.read_at - {_READ_MEANWHILE}"""
