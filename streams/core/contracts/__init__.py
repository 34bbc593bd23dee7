"""What comes in, what goes out, and the two ways between values and bytes."""
