"""What must not leak, must not be followed, must not be opened, and must not be believed."""
