"""Coordination: locks, workers, shared memory, load balancing and heartbeats; usable alone."""
