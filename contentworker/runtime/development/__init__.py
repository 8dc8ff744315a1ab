"""For work on a checkout: reloading, and a Redis of its own."""
