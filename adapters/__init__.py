"""Carriers and connectors that ship with Concord; the gateway finds them by entry point."""
