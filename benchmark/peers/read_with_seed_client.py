"""Read a Dify with dify-user-client in the plain loop that its README begins; run as a child.

It keeps nothing, so the ids that it saw are written to a file for the comparison.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from dify_user_client import Credentials, DifyClient

CHAT_TYPES = ("chat", "agent-chat", "advanced-chat")


def main() -> None:
    """Do the task of the command line; the last line is the result as JSON."""
    task = json.loads(sys.argv[1])
    began = time.monotonic()
    credentials = Credentials(username=task["email"], password=task["password"])
    client = DifyClient(base_url=task["base_url"], credentials=credentials)
    seen = []
    for app in client.apps:
        if app.type not in CHAT_TYPES:
            continue
        for chat in app.chats:
            seen.append(("conversations", chat.id))
            seen.extend(("messages", message["id"]) for message in chat.messages)
    seconds = time.monotonic() - began
    Path(task["seen"]).write_text(json.dumps(seen))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
