"""A program as users write it for the command sink: it keeps keys in a JSON file."""

import json
import sys
from pathlib import Path


def main(store: str, operation: str, entry: str, *more: str) -> int:
    path = Path(store)
    held = json.loads(path.read_text()) if path.exists() else {}
    stages = held.setdefault(entry, {})
    if operation == "read":
        print(stages.get(more[0], ""))
        return 0
    if operation == "stage":
        stages["pending"] = sys.stdin.read()
    elif operation == "promote":
        stages["previous"] = stages.get("current", "")
        stages["current"] = stages.pop("pending")
    elif operation == "restore":
        stages["current"] = stages["previous"]
    elif operation == "discard":
        stages.pop("pending", None)
    else:
        return 2
    path.write_text(json.dumps(held))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
