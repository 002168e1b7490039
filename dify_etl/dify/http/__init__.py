"""How Dify is asked: sessions, logins, connections, limits, and what an answer may be."""
