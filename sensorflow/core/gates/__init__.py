"""Gates: marker files with which a sender announces that other files are complete. A gate may also contain
the size, the checksum and the number of rows of these files."""
