"""The way back: what ticketing systems say about their tickets."""
