"""From the policy's description of a sink to the sink. Clients are loaded only when needed."""

from dify_etl.operations.keys.sinks.configs import (
    AwsSinkConfig,
    CommandSinkConfig,
    FileSinkConfig,
    SinkConfig,
)
from dify_etl.operations.keys.sinks.protocol import SecretSink


def open_sink(config: SinkConfig) -> SecretSink:
    """The sink; SinkNotInstalled when its package is missing, SinkFailed without its account."""
    if isinstance(config, FileSinkConfig):
        from dify_etl.operations.keys.sinks.file import FileSink

        return FileSink(config.path, config.format)
    if isinstance(config, AwsSinkConfig):
        from dify_etl.operations.keys.sinks.aws import open_aws_sink

        return open_aws_sink(config)
    if isinstance(config, CommandSinkConfig):
        from dify_etl.operations.keys.sinks.command import CommandSink

        return CommandSink(
            config.command,
            timeout_seconds=config.timeout_seconds,
            environment=config.environment,
        )
    from dify_etl.operations.keys.sinks.vault import open_vault_sink

    return open_vault_sink(config)
