"""The one-command stack: PostgreSQL, Valkey, daemon, workers, beat and Flower under one supervisor."""
