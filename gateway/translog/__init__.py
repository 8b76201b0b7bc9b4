"""The exchange log as pure functions and values: tree, tiles, notes, checkpoints, proofs and what an entry says."""
