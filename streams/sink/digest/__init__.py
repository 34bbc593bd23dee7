"""The daily digest of one account manager, by mail and chat."""
