"""The version of this project."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
