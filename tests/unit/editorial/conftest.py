"""A few examples of each property where a person waits for them, many in CI."""

import os

from hypothesis import settings

settings.register_profile("few", max_examples=20, deadline=None)
settings.register_profile("many", max_examples=200, deadline=None)
settings.load_profile("many" if os.environ.get("CI") else "few")
