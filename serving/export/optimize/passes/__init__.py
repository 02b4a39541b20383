"""The rewrites, one file each: from a graph to a graph that computes the same."""
