"""The workspace that was read once, shared with the tests of the sync."""

from dify_etl_tests.sync.conftest import read_once, whole

__all__ = ["read_once", "whole"]
