"""Which column of a file is what: a profile, applied to the columns that a file turns out to have."""
