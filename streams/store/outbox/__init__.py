"""The tables of the sink: endpoints, deliveries, and what people do about alerts."""
