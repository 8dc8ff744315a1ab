"""Renders .devcontainer/ from its templates, the settings and the extensions of .vscode/extensions.json."""

import re
from pathlib import Path

from contentworker.config import Settings

__all__ = ["render"]

FILES = ("Dockerfile", "devcontainer.json")
USER = "developer"


def render(settings: Settings, root: Path) -> dict[Path, str]:
    """The text of each generated file of .devcontainer/, by its path."""
    values = {
        "image": settings.devcontainer.image,
        "user": USER,
        "home": f"/home/{USER}",
        "desk_port": str(settings.desk.port),  # editorial
        "flower_port": str(settings.flower.port),
        "redis_port": str(settings.broker.port),
        "python_versions": " ".join(settings.python.versions),
        "extensions": _extensions((root / ".vscode" / "extensions.json").read_text("utf-8")),
    }
    folder = root / ".devcontainer"
    texts = {name: (folder / "templates" / f"{name}.in").read_text("utf-8") for name in FILES}
    return {
        folder / name: re.sub(r"@([a-z_]+)@", lambda match: values[match[1]], text)
        for name, text in texts.items()
    }


def _extensions(recommended: str) -> str:
    """The list of extensions with the comments that give their reasons, indented for devcontainer.json."""
    lines = re.findall(r'^ *(// .*|"[\w.-]+",?)$', recommended.partition("[")[2], re.MULTILINE)
    return "\n".join(f"        {line}" for line in lines)
