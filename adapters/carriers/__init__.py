"""Carriers: how envelopes and receipts get to partners."""
