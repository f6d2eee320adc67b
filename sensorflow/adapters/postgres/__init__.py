"""PostgreSQL (with or without TimescaleDB): the ledger and the readings, in one database."""
