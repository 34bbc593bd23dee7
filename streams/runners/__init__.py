"""The shells around the core: they read, keep time, train and commit; what they decide, the core decided."""
