"""The error of an adoption that cannot be made."""

__all__ = ["AdoptionError"]


class AdoptionError(Exception):
    """One line for the person who typed the command: what is wrong, and what to do."""
