"""How a feed is read, by the rules that lose no row: windows, walks, proofs, what is due."""
