"""`python -m contentworker.doctor`, which needs nothing but Python."""

import sys

from contentworker import doctor

sys.exit(doctor.main())
