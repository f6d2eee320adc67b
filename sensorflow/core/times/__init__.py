"""Times and durations: converts the notations in files to UTC times."""
