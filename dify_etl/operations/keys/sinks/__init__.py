"""Where keys go: a file, AWS Secrets Manager, HashiCorp Vault, or a command of your own."""
