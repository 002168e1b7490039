-- One row per message whose run waits for a person now.
-- materialized: table
-- message_id: Id of the message.

select distinct message_id
from staging.stg_human_inputs
where state = 'waiting' and not is_absent and message_id is not null
