"""Keys, envelopes, receipts, cards, certificates: the only room that imports PyNaCl, cryptography and pyrage."""
