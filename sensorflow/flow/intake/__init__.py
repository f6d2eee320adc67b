"""Takes files in, from any number of feeds."""
