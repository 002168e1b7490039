-- One row per end user or account: what the views of messages, runs and ratings say of its person.
-- actor_id: Id of the end user or of the account.
-- person_id: Who it is, by the rule of stg_people; null: nobody.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody.

-- Grouped, and joined by a plain column: DuckDB then sees that a row is found once at most, and a
-- query that asks for no person does not read them.

select
    actor_id,
    max(person_id) as person_id,
    max(person_name) as person_name,
    max(person_kind) as person_kind
from staging.stg_people
group by actor_id
