"""What drives `step`: stream time, wakes, the subscribers' states, and the run in one process."""
