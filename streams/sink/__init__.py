"""The notification sink: from alerts in the database to signed calls, tickets, digests, and back."""
