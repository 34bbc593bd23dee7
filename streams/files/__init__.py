"""Hop 1 from files: lines of text become events, merged by event time."""
