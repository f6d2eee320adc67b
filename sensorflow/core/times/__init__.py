"""Times and durations: converts times as files contain them to UTC times."""
