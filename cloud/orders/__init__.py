"""Orders to gateways: kept, sent, sent again, and their results."""
