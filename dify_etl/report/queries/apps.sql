-- One row per app that Dify lists or listed.
select app_id, app_name, app_mode
from staging.stg_apps
order by app_name, app_id
