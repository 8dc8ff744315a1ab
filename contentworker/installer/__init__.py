"""Puts this checkout onto a machine as services of systemd: install, upgrade, roll back, uninstall.

Three stages, the same for all: `look` finds out what is there and what would be done, and changes nothing;
`release` builds, as the user who called, a folder with one version of everything; `apply` places it as root
and starts it. Where the tree is only staged (`--root DIR`), `apply` writes into that folder, calls nobody,
and needs no privileges. What `apply` runs as root needs nothing but Python.
"""
