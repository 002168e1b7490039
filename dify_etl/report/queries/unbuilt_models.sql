-- One row per model whose last build failed: its table is that of an earlier build, or none.
select
    model,
    cast(failed_since as date) as since,
    count(*) over () as all_rows
from ops.models
where state = 'failed' and model like 'marts.%'
order by failed_since, model
limit $most_rows
