"""Builds the documentation site from docs/. The reference pages are generated from the code."""
