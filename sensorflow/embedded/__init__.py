"""The stack of `sensorflow up`: PostgreSQL, Valkey, daemon, workers, beat and Flower under one
supervisor."""
