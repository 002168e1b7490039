-- One row per file of a message.
-- file_type: One of image, document, audio, video, custom.
-- transfer_method: One of local_file, remote_url, tool_file.
-- belongs_to: Either user (question) or assistant (answer).
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
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.message_files
