"""What was read back from the storage, as plain dataclasses."""
