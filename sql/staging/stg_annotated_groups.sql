-- One row per app and group of equal questions of which the app has an annotation now.
-- materialized: table
-- app_id: Id of the app.
-- question_group: The question of the annotation, as in stg_questions.

select distinct
    app_id,
    left(
        trim(
            regexp_replace(lower(nfc_normalize(question)), '[\s\p{Z}\p{Cf}\p{P}\p{S}]+', ' ', 'g')
        ),
        300
    ) as question_group
from staging.stg_annotations
where not is_absent
