"""Health of queues and workers, for probes, load balancers and systemd."""

from contentworker.renamed import names_from  # editorial

HEALTH_TASK = "tasks.health_check"
"""The task that is sent through each queue. It has no limit."""

__getattr__ = names_from(__name__, "queues")  # editorial
