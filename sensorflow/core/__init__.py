"""The pure core: its functions depend only on their arguments, not on clock, disk, network, log or
settings."""
