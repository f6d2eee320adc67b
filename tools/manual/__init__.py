"""Builds the documentation as a site: the reference is made from the code, the rest is docs/."""
