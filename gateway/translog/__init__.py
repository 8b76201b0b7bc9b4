"""The exchange log as mathematics and text."""
