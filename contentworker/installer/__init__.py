"""Installs this checkout on a machine as systemd services: install, upgrade, roll back, uninstall.

1. `prepare` looks at the machine and makes a plan. It changes nothing.
2. `release` builds a folder with one version of everything, as the user who typed the command.
3. `apply` places that folder as root and starts the services. It needs nothing but Python. With `--root DIR`
   it only places the files below that folder: no service is started, and no privileges are needed.
"""
