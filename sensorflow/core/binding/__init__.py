"""Binding: finds the columns that a profile refers to in a file."""
