"""How the parts are put together: a Dify, a home and their rules, from the settings."""
