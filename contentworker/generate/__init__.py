"""Every file that is rendered from `worker.toml`, the settings models and the code."""
