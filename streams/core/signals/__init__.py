"""What was published about the market, and what of it a subscriber's features see."""
