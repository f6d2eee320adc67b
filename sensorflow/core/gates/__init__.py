"""Gates: files by which a sender says that others are complete, and what they hold. Pure."""
