"""`python -m contentworker.doctor`, which needs nothing but Python."""

import argparse
import sys

from contentworker import doctor

parser = argparse.ArgumentParser(prog="doctor", description="Say what is missing or wrong here.")
parser.add_argument("--json", action="store_true", help="Print a JSON array instead of lines.")
sys.exit(doctor.report(as_json=parser.parse_args().json))
