"""Rewriting by a language model: what is asked, of whom, and which answers are refused."""

from contentworker.editorial.rewriting.result import Change, Left, Mode, Refusal, Rewrite

__all__ = ["Change", "Left", "Mode", "Refusal", "Rewrite"]
