"""Health of queues and workers, for probes, load balancers and systemd."""

from contentworker.renamed import names_from  # editorial

__getattr__ = names_from(__name__, "queues")  # editorial
