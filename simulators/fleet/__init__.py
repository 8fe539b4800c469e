"""A fleet: thousands of gateways that speak straight to a broker, from one process, with numbered readings."""
