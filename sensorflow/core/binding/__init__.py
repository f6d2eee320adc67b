"""Binding: matches the columns of a profile with the columns of a file."""
