"""Renders `deploy/kubernetes/`, for kustomize, from settings and the templates in `deploy/templates/`."""

import ipaddress
import json
from collections.abc import Container, Iterable
from pathlib import Path

from contentworker.config import Settings
from contentworker.generate.containers import GENERATED, Web, label, outside, webs
from contentworker.generate.filling import fill
from contentworker.generate.units import STOP_GRACE_SECONDS
from contentworker.runtime.settings import QueueSettings

__all__ = ["render", "stale"]

BASE, SCALING = Path("deploy/kubernetes/base"), Path("deploy/kubernetes/scaling")
BUSY_SHARE = 0.8
"""Share of the slots that are busy on average when a worker is added."""
BEATS = 2
"""Any number may run: each due moment is sent once."""
OFF = "; off, until its secrets are set"
NETWORKS = {
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}

STARTED = "startupProbe: {{ {probe}, periodSeconds: 3, timeoutSeconds: 10, failureThreshold: 30 }}"
LIVES = "livenessProbe: {{ {probe}, periodSeconds: 20, timeoutSeconds: 10, failureThreshold: 3 }}"
IS_READY = "readinessProbe: {{ {probe}, periodSeconds: 10, timeoutSeconds: 10 }}"


def render(settings: Settings, root: Path) -> dict[Path, str]:
    """The text of each generated file, by its path."""
    templates = root / "deploy" / "templates"
    base = {"common.yaml": _common(settings, templates), "beat.yaml": _beat(templates)}
    scaling = {"common.yaml": fill(templates / "kubernetes-scaling-common.yaml.in", {})}
    for name, queue in settings.queues.items():
        file = f"worker-{label(name)}.yaml"
        base[file] = _worker(settings, name, queue, templates)
        scaling[file] = _scaling(settings, name, queue, templates)
    base |= {f"{web.name}.yaml": _web(web, templates) for web in webs(settings)}
    base["kustomization.yaml"] = fill(
        templates / "kubernetes-base-kustomization.yaml.in", {"resources": _list(base)}
    )
    patches = [_without_replicas(name) for name in settings.queues]
    scaling["kustomization.yaml"] = fill(
        templates / "kubernetes-scaling-kustomization.yaml.in",
        {"resources": _list(scaling), "patches": "\n".join(patches)},
    )
    base["worker.toml"] = (root / "worker.toml").read_text("utf-8")
    files = {BASE / name: text for name, text in base.items()}
    files |= {SCALING / name: text for name, text in scaling.items()}
    return {root / path: GENERATED + text for path, text in files.items()}


def stale(root: Path, wanted: Container[Path]) -> list[Path]:
    """Files that an earlier rendering made for a queue that no longer exists."""
    found = [path for folder in (BASE, SCALING) for path in (root / folder).glob("worker-*.yaml")]
    return [path for path in found if path not in wanted and path.read_text("utf-8").startswith(GENERATED)]


def _common(settings: Settings, templates: Path) -> str:
    values = {
        "redis_port": str(settings.broker.port),
        "egress": _egress(settings.services.allowed_addresses),
    }
    return fill(templates / "kubernetes-common.yaml.in", values)


def _worker(settings: Settings, name: str, queue: QueueSettings, templates: Path) -> str:
    alive = "exec: {{ command: [content-worker, alive{more}] }}"
    probes = (
        STARTED.format(probe=alive.format(more="")),
        LIVES.format(probe=alive.format(more="")),
        IS_READY.format(probe=alive.format(more=", --ready")),
    )
    resource = f"worker-{label(name)}"
    mounts, volumes = _own_folders()
    values = {
        "description": queue.description,
        "name": resource,
        "replicas": str(queue.workers),
        "arguments": json.dumps(["worker", "--queue", name, f"--hostname={name}@%h"])[1:-1],
        "variables": "",
        "mounts": mounts,
        "volumes": volumes,
        "stop_seconds": str(round(settings.limits.hard_time_limit_seconds) + STOP_GRACE_SECONDS),
        "probes": "\n".join(probes),
        "cpu": f"{queue.cpu_weight * 10}m",
        "memory_mebibytes": str(queue.memory_max_mebibytes),
        "optional_secrets": _optional(queue.secrets),
    }
    parts = [templates / "kubernetes-deployment.yaml.in", templates / "kubernetes-budget.yaml.in"]
    text = "".join(fill(part, values) for part in parts)
    return text + _more_egress(resource, queue.allowed_addresses, templates)


def _beat(templates: Path) -> str:
    values = {
        "description": "Sends what [schedules] says. Each due moment is sent once, however many run.",
        "name": "beat",
        "replicas": str(BEATS),
        "arguments": "celery, --quiet, beat, --loglevel=info",
        "variables": "",
        "mounts": "",
        "volumes": "",
        "stop_seconds": str(STOP_GRACE_SECONDS),
        "probes": "",
        "cpu": "50m",
        "memory_mebibytes": "256",
        "optional_secrets": "",
    }
    parts = [templates / "kubernetes-deployment.yaml.in", templates / "kubernetes-budget.yaml.in"]
    return "".join(fill(part, values) for part in parts)


def _web(web: Web, templates: Path) -> str:
    probe = f"tcpSocket: {{ port: {web.port} }}"
    probes = [text.format(probe=probe) for text in (STARTED, LIVES, IS_READY)]
    values = {
        "description": f"{web.name.capitalize()}, on port {web.port}" + ("" if web.replicas else OFF),
        "name": web.name,
        "replicas": str(web.replicas),
        "arguments": ", ".join(web.arguments),
        "variables": "\n".join(
            f'- {{ name: {name}, value: "{value}" }}' for name, value in web.variables.items()
        ),
        "mounts": "",
        "volumes": "",
        "stop_seconds": str(STOP_GRACE_SECONDS),
        "probes": "\n".join(probes),
        "cpu": "50m",
        "memory_mebibytes": str(web.memory_mebibytes),
        "optional_secrets": _optional(web.secrets),
        "port": str(web.port),
    }
    parts = [templates / "kubernetes-deployment.yaml.in", templates / "kubernetes-web.yaml.in"]
    text = "".join(fill(part, values) for part in parts)
    return text + _more_egress(web.name, web.allowed_addresses, templates)


def _own_folders() -> tuple[str, str]:
    """Mounts and volumes of a worker for what it writes beside its temporary files."""
    # >>> editorial
    # The embedded model keeps its socket there. Records have no place: a pod would lose them.
    path = "/var/lib/content-worker/embedded-model"
    mount = f"- {{ name: embedded-model, mountPath: {path} }}"
    return mount, "- { name: embedded-model, emptyDir: {} }"
    # <<< editorial
    # adopted: return "", ""


def _optional(names: Iterable[str]) -> str:
    items = ", ".join(f"{{ key: {name}, path: {name} }}" for name in names)
    return f"- secret: {{ name: content-worker, optional: true, items: [{items}] }}" if items else ""


def _more_egress(name: str, addresses: Iterable[str], templates: Path) -> str:
    if not (rules := _egress(addresses)):
        return ""
    return fill(templates / "kubernetes-egress.yaml.in", {"name": name, "egress": rules})


def _egress(addresses: Iterable[str]) -> str:
    """Rules of a NetworkPolicy for addresses as systemd's IPAddressAllow= has them."""
    given = outside(addresses)
    if "any" in given:
        return "- {}"
    networks = [each for name in given for each in NETWORKS.get(name, (name,))]
    blocks = [f'{{ ipBlock: {{ cidr: "{ipaddress.ip_network(each, strict=False)}" }} }}' for each in networks]
    return f"- to: [{', '.join(blocks)}]" if blocks else ""


def _scaling(settings: Settings, name: str, queue: QueueSettings, templates: Path) -> str:
    values = {
        "name": f"worker-{label(name)}",
        "queue": name,
        "min_workers": str(queue.workers),
        "max_workers": str(max(queue.workers, queue.max_workers)),
        "slots": str(queue.concurrency),
        "prometheus_url": settings.kubernetes.prometheus_url,
        "wanted_wait_seconds": str(settings.kubernetes.wanted_wait_seconds),
        "busy_slots": f"{queue.concurrency * BUSY_SHARE:g}",
    }
    return fill(templates / "kubernetes-scaling.yaml.in", values)


def _without_replicas(queue: str) -> str:
    target = f"{{ kind: Deployment, name: worker-{label(queue)} }}"
    return f'- {{ target: {target}, patch: "[{{op: remove, path: /spec/replicas}}]" }}'


def _list(names: Iterable[str]) -> str:
    return "\n".join(f"- {name}" for name in names)
