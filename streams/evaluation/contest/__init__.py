"""Many learners judged on the same recorded examples."""
