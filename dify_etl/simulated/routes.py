"""All endpoints, gathered from the files of the nouns."""

from dify_etl.simulated import (
    account,
    agent_logs,
    annotations,
    api_keys,
    app_detail,
    apps,
    conversations,
    datasets,
    documents,
    feedback_export,
    instance,
    members,
    messages,
    service_api,
    statistics,
    workflow_logs,
    workflow_runs,
    workflows,
)
from dify_etl.simulated.calls import Route

CONSOLE_ROUTES: tuple[Route, ...] = (
    *instance.ROUTES,
    *account.ROUTES,
    *apps.ROUTES,
    *app_detail.ROUTES,
    *api_keys.ROUTES,
    *workflows.ROUTES,
    *conversations.ROUTES,
    *messages.ROUTES,
    *feedback_export.ROUTES,
    *annotations.ROUTES,
    *agent_logs.ROUTES,
    *workflow_logs.ROUTES,
    *workflow_runs.ROUTES,
    *statistics.ROUTES,
    *datasets.ROUTES,
    *documents.ROUTES,
    *members.ROUTES,
)

SERVICE_ROUTES: tuple[Route, ...] = service_api.ROUTES
