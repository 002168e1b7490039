-- One row per person who was there in these days.
select person_id, person_name, person_kind
from marts.people
where last_seen_date >= $first_day
order by person_id
