"""Times and durations: how files write them, and the instants that they denote."""
