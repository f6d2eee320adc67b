"""The stack or its parts as services of systemd."""
