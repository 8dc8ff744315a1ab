"""The commands of `content-worker`, a module for each group."""
