"""FLOOR 2c: what we do *to* Dify: plan, apply, verify, audit. Plain Python over the client."""
