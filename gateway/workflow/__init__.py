"""State tables of what is exchanged: pure functions of state, event and time."""
