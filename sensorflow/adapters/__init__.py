"""The world outside, one small file for each thing in it."""
