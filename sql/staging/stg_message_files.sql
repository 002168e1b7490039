-- One row per file of a message.
-- message_file_id: Id of the file's link to the message.
-- message_id: Id of the message.
-- conversation_id: Id of the conversation.
-- app_id: Id of the app.
-- filename: Name of the file.
-- file_type: One of image, document, audio, video, custom.
-- url: Signed address; changes on each read.
-- mime_type: Media type.
-- size_bytes: Size in bytes.
-- transfer_method: One of local_file, remote_url, tool_file.
-- belongs_to: Either user (question) or assistant (answer).
-- upload_file_id: Id of the uploaded file.
-- message_created_at: When the question came, UTC.
-- message_created_date: Local day of message_created_at.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
-- is_absent: Whether Dify was proven to have it no more.

select
    message_file_id,
    message_id,
    conversation_id,
    app_id,
    filename,
    file_type,
    url,
    mime_type,
    size_bytes,
    transfer_method,
    belongs_to,
    upload_file_id,
    message_created_at,
    message_created_date,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.message_files
