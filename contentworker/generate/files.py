"""All generated files of a checkout."""

from pathlib import Path

from contentworker import config
from contentworker.counted import ALL_COUNTED
from contentworker.generate import (
    architecture,
    configuration_page,
    containers,
    devcontainer,
    kubernetes,
    metrics_pages,
    units,
)
from contentworker.runtime.metrics.definitions import READ

__all__ = ["outdated", "render", "units_in"]


def render(root: Path) -> dict[Path, str]:
    """The text of every generated file, by its path.

    Without the environment of this machine: committed files must not depend on who ran the command.
    """
    settings = config.load(root / "worker.toml", {})
    metrics = (*READ, *ALL_COUNTED)
    docs, systemd = root / "docs", root / "systemd"
    architecture_page, metrics_page = docs / "architecture.md", docs / "metrics.md"
    return {
        docs / "configuration.md": configuration_page.render(),
        architecture_page: architecture.render(architecture_page.read_text("utf-8"), root),
        metrics_page: metrics_pages.between_marks(metrics_page.read_text("utf-8"), metrics),
        root / "monitoring" / "dashboard.json": metrics_pages.dashboard(metrics),
        **containers.render(settings, root),
        **devcontainer.render(settings, root),
        **kubernetes.render(settings, root),
        **{systemd / path: text for path, text in units.render(settings, systemd / "templates").items()},
    }


def units_in(folder: Path) -> dict[Path, str]:
    """The files of systemd/ for another folder, with the overrides of the environment."""
    rendered = units.render(config.load(), config.ROOT / "systemd" / "templates")
    return {folder / path: text for path, text in rendered.items()}


def outdated(systemd: Path, files: dict[Path, str]) -> list[Path]:
    """Files that differ from what is rendered, and those of queues that no longer exist."""
    changed = [file for file, text in files.items() if not file.exists() or file.read_text("utf-8") != text]
    gone = units.stale(systemd, files)
    if systemd == config.ROOT / "systemd":
        gone += kubernetes.stale(config.ROOT, files)
    return [*gone, *changed]
