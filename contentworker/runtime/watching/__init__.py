"""Watching running workers: `top` and Flower."""
