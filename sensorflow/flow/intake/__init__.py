"""The intake: takes in files from any number of feeds."""
