"""Backups: a folder for each, whole by itself, in which what has not changed is shared by hard links.

    DIR/2026-11-28T03-35-00Z/
        manifest.json       when, of what, by which version; written before the folder gets its name
        SHA256SUMS          of every file below, as sha256sum reads it
        database.dump       pg_dump's custom format
        data/               landing, bronze, rejects, silver, quarantine
        project/            sensorflow.toml and what it names

See docs/how-to/backup.md, and docs/decisions/0027 for the order in which things are copied.
"""
