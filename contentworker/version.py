"""The version of Content Worker. `--version`, the log, the metrics and the health task all show this one."""

__all__ = ["VERSION"]

VERSION = "0.2.0"
