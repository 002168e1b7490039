"""How the policy describes a sink. No configuration holds a secret: accounts come from outside."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dify_etl.setting_values import FilePath


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FileSinkConfig(_Config):
    """A dotenv or JSON file; an entry is a variable or a key of the top level."""

    type: Literal["file"]
    path: FilePath
    format: Literal["dotenv", "json"] = "dotenv"


class AwsSinkConfig(_Config):
    """AWS Secrets Manager; an entry is the name or ARN of a secret that is the key as a whole.

    The account comes from where boto3 looks for it: environment, profile or role.
    """

    type: Literal["aws"]
    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None


class VaultSinkConfig(_Config):
    """HashiCorp Vault, KV version 2; an entry is `path#field`, field `api_key` when left out.

    The token is read from `token_file`, else from VAULT_TOKEN.
    """

    type: Literal["vault"]
    url: str
    mount: str = "secret"
    namespace: str | None = None
    token_file: FilePath | None = None


class CommandSinkConfig(_Config):
    """A program that does it: `<command> stage|promote|restore|discard|read <entry> …`.

    `environment`: variables that it sees beside those which any program needs.
    """

    type: Literal["command"]
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    environment: tuple[str, ...] = ()


SinkConfig = Annotated[
    FileSinkConfig | AwsSinkConfig | VaultSinkConfig | CommandSinkConfig,
    Field(discriminator="type"),
]
