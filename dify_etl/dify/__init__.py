"""Talks to Dify's console API: `DifyClient`, and the records that it gives."""

from dify_etl.dify.client import DifyClient

__all__ = ["DifyClient"]
