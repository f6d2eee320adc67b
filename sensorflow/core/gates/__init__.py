"""Gates: files with which a sender announces that other files are complete, and what they contain."""
