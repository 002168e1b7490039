"""Which recorded exchanges are not replayed against the simulated server, each with the reason.

Names hold for all versions that have them.
"""

from __future__ import annotations

_AGENTS = "compared in test_agents.py, in a world with agents"
_HUMAN = "planted; what really ran is compared in test_contract_human_input.py, with triggers"
_PAGES = "compared in test_unbuilt_rows.py, in a world with such rows"
_UNUSED = "nothing of dify-etl asks for it"

OF_AGENTS = dict.fromkeys(
    (
        "apps/export-dsl-agent",
        "apps/list-mode-channel-limit3-page2",
        "logs/annotations-agent",
        "logs/feedbacks-export-json-agent",
        "plugin-daemon-down/agents-list",
        "statistics/average-session-interactions--agent",
        "statistics/daily-conversations--agent",
        "statistics/daily-end-users--agent",
        "statistics/daily-messages--agent",
        "statistics/token-costs--agent",
        "statistics/tokens-per-second--agent",
        "statistics/user-satisfaction-rate--agent",
        "statistics/workflow-daily-conversations--agent",
        "statistics/workflow-daily-terminals--agent",
        "statistics/workflow-token-costs--agent",
    ),
    _AGENTS,
)
_OF_HUMAN_INPUT = dict.fromkeys(
    (
        "apps/triggers",
        "apps/triggers-as-normal-member",
        "apps/triggers-none",
        "apps/triggers-on-chat",
        "plugin-daemon-down/triggers",
        "logs/chat-messages-human-input-expired",
        "logs/chat-messages-human-input-submitted",
        "logs/chat-messages-human-input-waiting",
        "logs/message-get-human-input-expired",
        "logs/message-get-human-input-submitted",
        "logs/message-get-human-input-waiting",
        "logs/workflow-run-get-human-input-expired",
        "logs/workflow-run-get-human-input-submitted",
        "logs/workflow-run-get-human-input-waiting",
        "logs/form-get-console",
        "logs/form-get-console-of-web-app",
        "logs/form-get-console-unknown",
        "logs/form-get-public-expired",
        "logs/form-get-public-submitted",
        "logs/pause-details-as-normal-member",
        "logs/pause-details-expired",
        "logs/pause-details-of-a-finished-run",
        "logs/pause-details-submitted",
        "logs/pause-details-unknown",
        "logs/pause-details-waiting",
        "logs/pause-details-without-pause-row",
        "logs/pause-details-workflow",
    ),
    _HUMAN,
)
_OF_PAGES = dict.fromkeys(
    (
        "datasets/document-get-bad-row-metadata",
        "datasets/document-get-bad-row-source-info",
        "datasets/documents-bad-row-metadata",
        "datasets/documents-bad-row-source-info",
        "logs/chat-conversation-get-dead-file",
        "logs/chat-messages-dead-file",
        "logs/chat-messages-dead-file-behind-it",
        "logs/chat-messages-dead-file-limit1-at-it",
        "logs/chat-messages-dead-file-limit2",
        "logs/message-get-beside-dead-file",
        "logs/message-get-dead-file",
    ),
    _PAGES,
)

# Recorded GETs and exchanges about sessions that are not replayed.
LEFT_OUT = {
    **OF_AGENTS,
    **_OF_HUMAN_INPUT,
    **_OF_PAGES,
    "apps/annotation-setting": _UNUSED,
    "apps/recent": _UNUSED,
    "apps/server-get-none": _UNUSED,
    "apps/starred": _UNUSED,
    "apps/trace": _UNUSED,
    "auth/workspace-current-permission": "a route of another edition: 404 in JSON",
    "datasets/api-base-info": _UNUSED,
    "datasets/queries": _UNUSED,
    "datasets/related-apps": _UNUSED,
    "logs/workflow-run-archives": _UNUSED,
    "logs/workflow-run-export-not-archived": _UNUSED,
    "members/dataset-operators": _UNUSED,
    "plugin-daemon-down/document-get": "recorded before its document had a process rule",
    "members/activate-check": "activating an account is not simulated",
    "members/activate-check-used": "activating an account is not simulated",
    "auth/setup": "the simulated server is always set up",
    "auth/setup-again": "setting up is not simulated",
    "auth/setup-status-before": "the simulated server is always set up",
    "datasets/api-keys-list-empty": "recorded before the first key was made; a list of none",
}

# The same for one version only.
LEFT_OUT_OF_ONE = {
    ("main-2026-08", "logs/chat-conversation-get-after-service-delete"): (
        "500 for a moment; the detail of a conversation is never asked"
    ),
}

# Recorded writes that are not replayed.
WRITES_LEFT_OUT = {
    "apps/chatflow-draft-run-sse": "runs are started with a verb of the world",
    "apps/workflow-draft-run-sse": "runs are started with a verb of the world",
    "apps/copy": _UNUSED,
    "apps/model-config-post-unknown-model": "the simulated workspace takes any model",
    "apps/model-config-post-unknown-provider": "the simulated workspace takes any model",
    "apps/star-delete": _UNUSED,
    "apps/star-post": _UNUSED,
    "datasets/api-enable": _UNUSED,
    "members/activate": "activating an account is not simulated",
}
