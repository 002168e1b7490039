"""The modes of apps that are known, by what they have."""

CHAT_MODES = ("chat", "agent-chat", "advanced-chat", "agent")
COMPLETION_MODES = ("completion",)
WORKFLOW_MODES = ("workflow",)
CHATFLOW_MODES = ("advanced-chat",)
AGENT_MODES = ("agent",)
KNOWN_MODES = frozenset({*CHAT_MODES, *COMPLETION_MODES, *WORKFLOW_MODES})
