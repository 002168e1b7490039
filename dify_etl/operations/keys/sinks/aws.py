"""AWS Secrets Manager as a sink: the stages AWSPENDING, AWSCURRENT and AWSPREVIOUS.

An entry is a secret that holds the key and nothing else. It must exist and have a value: AWS makes
the first version of a secret current at once, so a first key could not be staged there.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr

from dify_etl.extras import how_to_install
from dify_etl.operations.keys.errors import SinkFailed, SinkNotInstalled
from dify_etl.operations.keys.sinks.configs import AwsSinkConfig
from dify_etl.operations.keys.sinks.protocol import Stage

# A name or an ARN, https://docs.aws.amazon.com/secretsmanager/latest/apireference
_NAME = re.compile(r"[\w/+=.@:-]{1,2048}", re.ASCII)
STAGES: dict[Stage, str] = {
    "pending": "AWSPENDING",
    "current": "AWSCURRENT",
    "previous": "AWSPREVIOUS",
}


def open_aws_sink(config: AwsSinkConfig) -> "AwsSink":
    """A sink with the account that boto3 finds. SinkNotInstalled, SinkFailed."""
    try:
        import boto3
    except ImportError:
        raise SinkNotInstalled(
            "the package boto3 is missing",
            where="a sink of type aws",
            hint=how_to_install("aws"),
        ) from None
    for name in ("botocore", "boto3"):  # at DEBUG they log whole requests, keys included
        log = logging.getLogger(name)
        log.setLevel(max(log.level, logging.INFO))
    with _aws_errors("(opening)"):
        session = boto3.Session(profile_name=config.profile, region_name=config.region)
        return AwsSink(session.client("secretsmanager", endpoint_url=config.endpoint_url))


class AwsSink:
    """A sink over a boto3 client of Secrets Manager."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def place(self, entry: str) -> str:
        """The secret."""
        return f"secret {entry}"

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        """The secret string of the version with that stage."""
        version = self._version(entry, stage)
        return None if version is None else self._value(entry, version)

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        """Put a version with the stage AWSPENDING; its id is the key's, so that none comes twice.

        SinkFailed when the secret has no current value.
        """
        if self._version(entry, "current") is None:
            raise _failed(entry, "the secret has no value yet; put any placeholder into it once")
        with _aws_errors(entry):
            self._client.put_secret_value(
                SecretId=entry,
                ClientRequestToken=key_id,
                SecretString=token.get_secret_value(),
                VersionStages=[STAGES["pending"]],
            )

    def promote(self, entry: str, key_id: str) -> None:
        """Move AWSCURRENT to the pending version; AWS moves AWSPREVIOUS itself."""
        pending = self._version(entry, "pending")
        if pending is None:
            raise _failed(entry, "nothing is pending")
        self._move(entry, "current", to=pending)
        self._move(entry, "pending", to=None)

    def restore(self, entry: str) -> None:
        """Move AWSCURRENT back to AWSPREVIOUS."""
        previous = self._version(entry, "previous")
        if previous is None:
            raise _failed(entry, "there is no previous version")
        self._move(entry, "current", to=previous)

    def discard(self, entry: str) -> None:
        """Take AWSPENDING away; AWS deletes versions without a stage in its own time."""
        self._move(entry, "pending", to=None)

    def _move(self, entry: str, stage: Stage, *, to: str | None) -> None:
        held = self._version(entry, stage)
        if held == to:
            return
        versions = {"RemoveFromVersionId": held, "MoveToVersionId": to}
        with _aws_errors(entry):
            self._client.update_secret_version_stage(
                SecretId=entry,
                VersionStage=STAGES[stage],
                **{name: value for name, value in versions.items() if value is not None},
            )

    def _version(self, entry: str, stage: Stage) -> str | None:
        if not _NAME.fullmatch(entry):
            raise _failed(entry, "this is no name or ARN of a secret")
        with _aws_errors(entry):
            described = self._client.describe_secret(SecretId=entry)
        stages: dict[str, list[str]] = described.get("VersionIdsToStages") or {}
        return next((one for one, held in stages.items() if STAGES[stage] in held), None)

    def _value(self, entry: str, version: str) -> SecretStr:
        with _aws_errors(entry):
            answer = self._client.get_secret_value(SecretId=entry, VersionId=version)
        value = answer.get("SecretString")
        if not isinstance(value, str):
            raise _failed(entry, "the secret is binary, not text")
        return SecretStr(value)


@contextmanager
def _aws_errors(entry: str) -> Iterator[None]:
    """AWS's refusals by their code alone: its messages may quote what was sent."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _failed(entry, str(error.response.get("Error", {}).get("Code"))) from None
    except BotoCoreError as error:
        raise _failed(entry, type(error).__name__) from None


def _failed(entry: str, what: str) -> SinkFailed:
    return SinkFailed(
        f"AWS Secrets Manager: {what}",
        where=f"secret {entry}",
        hint="Check region, account, and the rights DescribeSecret, GetSecretValue, PutSecretValue "
        "and UpdateSecretVersionStage on this secret.",
    )
