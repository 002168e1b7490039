"""What can stop a rotation, beside what the client raises.

RotationError
├── PolicyWrong         rotation.toml cannot be read or understood
│   └── PolicyMissing       there is none
├── SinkFailed          the place that keeps the keys refused, or holds something else
│   └── SinkNotInstalled    the package for this kind of sink is missing
├── RotationRunning     another rotation holds this home
├── RotationRefused     a condition is not met; nothing was changed
└── PersonNeeded        what is there cannot be decided by a program
"""

from dify_etl.errors import ActionableError


class RotationError(ActionableError):
    """Anything that went wrong with the rotation of keys."""


class PolicyWrong(RotationError):
    """The policy file cannot be read; names the line or the table, and the field."""


class PolicyMissing(PolicyWrong):
    """There is no policy file."""


class SinkFailed(RotationError):
    """A sink did not do what it was asked for. Never quotes what a sink holds."""


class SinkNotInstalled(SinkFailed):
    """The sink needs a package that is not installed."""


class RotationRunning(RotationError):
    """Another process rotates keys in the same home."""


class RotationRefused(RotationError):
    """Something that must be true before a step is not; the step was not taken."""


class PersonNeeded(RotationError):
    """Two explanations fit what Dify and the sink show; a person has to decide."""
