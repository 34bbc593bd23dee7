"""The trainer on Kafka: examples in, model versions out."""
