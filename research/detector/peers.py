"""The peers, each as a function from a text to how much it takes it for a model's."""

import importlib
from collections.abc import Callable

__all__ = ["load"]

Scorer = Callable[[str], float]


def load() -> tuple[dict[str, Scorer], list[str]]:
    """The peers that can be imported, and the names of those that cannot."""
    loaders = {"aifingerprint": _aifingerprint, "ZipPy": _zippy, "lmscan": _lmscan}
    found: dict[str, Scorer] = {}
    missing = []
    for name, loader in loaders.items():
        try:
            found[name] = loader()
        except ImportError:
            missing.append(name)
    return found, missing


def _aifingerprint() -> Scorer:
    analyze = importlib.import_module("aifingerprint").analyze
    return lambda text: float(analyze(text)[0])


def _zippy() -> Scorer:
    # Its own default engine, in its own pieces of 1,500 characters.
    zippy = importlib.import_module("zippy.zippy").Zippy()

    def score(text: str) -> float:
        label, confidence = zippy.run_on_text_chunked(text) or ("Human", 0.0)
        return float(confidence if label == "AI" else -confidence)

    return score


def _lmscan() -> Scorer:
    scan = importlib.import_module("lmscan").scan
    return lambda text: float(scan(text).ai_probability)
