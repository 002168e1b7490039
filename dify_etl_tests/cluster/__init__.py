"""Runs on several machines: the files of deploy/cluster, and workers that die."""
