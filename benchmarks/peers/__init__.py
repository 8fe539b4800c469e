"""Langyan beside other gateways: an adapter for the peers' harness, and the rows that are measured with it."""
