"""Money in any order: what its tests share, and the simulation itself."""
