"""Installs the stack or its parts as systemd services."""
