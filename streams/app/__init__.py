"""The use cases: one file for each joins the parts that it needs."""
