"""What a rotation asks of a place that keeps keys."""

from typing import Literal, Protocol

from pydantic import SecretStr

Stage = Literal["pending", "current", "previous"]


class SecretSink(Protocol):
    """Three places per entry: `current` is what consumers read.

    A rotation calls nothing twice unless it has read that the first call did not take effect.
    Every method raises SinkFailed, which names the entry and never quotes what it holds.
    """

    def place(self, entry: str) -> str:
        """Where the entry is, for people: the file and variable, the secret, the path and field."""
        ...

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        """What stands there, None when nothing does."""
        ...

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        """Keep the token as pending; an older pending one is replaced. Consumers see nothing."""
        ...

    def promote(self, entry: str, key_id: str) -> None:
        """Make pending current in one step that happens or does not; the old one is previous."""
        ...

    def restore(self, entry: str) -> None:
        """Make previous current again, in one step."""
        ...

    def discard(self, entry: str) -> None:
        """Forget what is pending."""
        ...
