"""Alerts: each kind, the rules of usage, delivery to real servers."""
