"""Kafka as a client sees it: connection settings, requests, partitions, records."""
