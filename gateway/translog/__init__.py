"""The exchange log as mathematics and text: leaves, trees, tiles, notes, checkpoints, proofs.

Pure functions and values in the formats of RFC 6962 and C2SP, so that other people's verifiers accept our log.
Nothing here reads, writes or knows the time. The format is described in docs/reference/log-format.md.
"""
