"""The distributed engine: the same `step` in Faust workers on Kafka, exact under kills."""
