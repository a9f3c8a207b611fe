"""Taking over the storage of another registry where it lies."""
