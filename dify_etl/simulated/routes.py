"""All endpoints, gathered from the files of the nouns."""

from __future__ import annotations

from dify_etl.simulated import account, apps, conversations, instance, messages
from dify_etl.simulated.calls import Route

CONSOLE_ROUTES: tuple[Route, ...] = (
    *instance.ROUTES,
    *account.ROUTES,
    *apps.ROUTES,
    *conversations.ROUTES,
    *messages.ROUTES,
)

SERVICE_ROUTES: tuple[Route, ...] = ()
