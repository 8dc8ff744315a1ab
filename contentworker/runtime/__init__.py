"""What runs the tasks: transport, worker, records, logs, metrics and health."""
