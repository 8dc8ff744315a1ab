"""Log lines, traces and error reports."""

from contentworker.renamed import names_from  # editorial

__getattr__ = names_from(__name__, "lines")  # editorial
