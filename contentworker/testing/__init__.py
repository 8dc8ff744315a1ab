"""For the tests of your tasks: the fixtures `inline` and `worker` of the pytest plugin `plugin.py`."""
