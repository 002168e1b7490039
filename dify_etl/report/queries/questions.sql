-- One row per group of equal questions that were not answered well; counts are of all time.
select
    app_id,
    last_asked_date as day,
    left(example_question, $text_length) as question,
    questions,
    people,
    unanswered_questions,
    disliked_questions,
    uncited_questions,
    is_annotated,
    count(*) over () as all_rows
from marts.unanswered_questions
where last_asked_date between $first_day and $last_day
order by questions desc, last_asked_at desc, app_id, question_group
limit $most_rows
