"""The tables of orders to gateways, and of the stolen list."""
