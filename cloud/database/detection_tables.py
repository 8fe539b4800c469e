"""The tables of fire detection: fires and the evidence for them."""
