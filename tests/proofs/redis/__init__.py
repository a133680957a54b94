"""Proofs on Redis: races, servers that are killed, failover, and the real scs on the same keys."""
