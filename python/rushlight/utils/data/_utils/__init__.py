"""What the loader is made of: collation and workers."""
