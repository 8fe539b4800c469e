"""The worker of the trades: everything that judges what was heard, and tells gateways what follows."""
