"""Tools of the repository: what developers and the two commands run; no product code."""
