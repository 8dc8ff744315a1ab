"""The detector: whether the generators that its model knows are those of today."""

import zipfile
from datetime import UTC, datetime
from pathlib import Path

from contentworker.doctor.ask import SESSION, Environ, Finding, NotCheckedError

__all__ = ["check_detector"]


def check_detector(root: Path, _environ: Environ) -> Finding:
    """How old the newest generator is that the detector's model knows."""
    from contentworker.editorial.detector import expiry

    path = root / expiry.SHIPPED.relative_to(Path(__file__).parents[2])
    try:
        knows_until = expiry.read_header(path)["knows_until"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise NotCheckedError(f"{path} is not a model of the detector ({type(error).__name__})") from None
    old = expiry.warning(knows_until, datetime.now(UTC).date())
    if old:
        fix = f"{SESSION} train-detector -- --data DIR --new FOLDER   (docs/detector.md)"
        return Finding("note", old, fix)
    return Finding("ok", f"knows generators until {knows_until}")
