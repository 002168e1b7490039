"""Rotation of API keys: make, test, hand over, watch, revoke, prove; resumable at every step."""
