"""Rewriting by a language model, and the guard that refuses wrong answers. See docs/rewriting.md."""

from contentworker.editorial.rewriting.result import Mode, Rewrite

__all__ = ["Mode", "Rewrite"]
