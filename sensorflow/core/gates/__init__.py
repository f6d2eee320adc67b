"""Gates: marker files with which a sender announces that other files are complete. A gate may also state
size, checksum and row count of these files."""
