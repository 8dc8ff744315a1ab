"""Note in tests/data/detector.json what the shipped model makes of its texts; the tests hold it to that.

python research/detector/record.py
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from contentworker.editorial.detector.judging import judge  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.model import shipped  # noqa: E402 -- needs the path above
from contentworker.editorial.document import parse  # noqa: E402 -- needs the path above
from contentworker.editorial.settings import ContentSettings  # noqa: E402 -- needs the path above

SAMPLE = ROOT / "tests" / "data" / "detector.json"


def main() -> None:
    settings = ContentSettings()
    rows = json.loads(SAMPLE.read_text("utf-8"))
    for row in rows:
        document = parse(row["text"], media_type="text", settings=settings)
        row["probability"] = judge(document, model=shipped(), settings=settings).probability
    SAMPLE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
