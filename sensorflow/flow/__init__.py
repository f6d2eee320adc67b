"""The pipeline, one verb a file, in the order in which a file goes through it."""
