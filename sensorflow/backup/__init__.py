"""Makes, verifies and restores backups.

Each backup is a folder that can be restored without any other backup. If a file is unchanged since the
previous backup, the new backup contains a hard link to the copy in the previous one.

    DIR/2026-11-28T03-35-00Z/
        manifest.json       time, project, version and counts of the backup; written last
        SHA256SUMS          checksums of all other files, in the format of sha256sum
        database.dump       dump of the database, in the custom format of pg_dump
        data/               landing, bronze, rejects, silver, quarantine
        project/            sensorflow.toml and the profile files in the project's folder

See docs/how-to/backup.md. docs/decisions/0027 explains the order in which files and database are copied.
"""
