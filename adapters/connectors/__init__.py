"""Connectors: between opened messages and the formats of national systems."""
