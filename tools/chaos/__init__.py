"""What kills, starves and floods a running city, and what must be true afterwards."""
