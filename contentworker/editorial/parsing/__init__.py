"""Readers: each turns one kind of source into the same stream of blocks, with offsets into that source."""
