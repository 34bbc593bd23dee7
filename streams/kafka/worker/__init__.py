"""The worker: Faust's transport, partition tasks, and the changelog that holds their states."""
