"""The raw tables: what each is, and how records become its rows. No HTTP, no database."""
