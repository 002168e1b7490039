"""Runs on other machines than Dagster's own. Loaded by nothing but the dagster.yaml of a cluster:
its packages (deploy/cluster/requirements.lock) are not among those of dify-etl.
"""
