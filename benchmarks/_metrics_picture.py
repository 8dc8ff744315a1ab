"""Draws docs/metrics.svg: a minute of real workers, as the metrics show it.

    nox -s bench -- benchmarks/_metrics_picture.py

A worker for each queue; articles come, more at once than are done; some calls are wrong; the worker of
`evaluation` is killed and started again. The language model is a stand-in that gives back what it got.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker import config  # noqa: E402 -- needs the path above
from contentworker.counted import ALL_COUNTED  # noqa: E402
from contentworker.runtime.development import local_redis  # noqa: E402
from contentworker.runtime.metrics import reading  # noqa: E402
from contentworker.runtime.metrics.recording import MILLION  # noqa: E402
from contentworker.runtime.worker import application  # noqa: E402 -- needs the path above

SECONDS = 60
ARTICLE = (ROOT / "examples" / "thoughts-on-tea.txt").read_text("utf-8")
QUEUES = ("celery", "evaluation", "rewrite", "escalation")
KILLED_AT, BACK_AT = 9, 40
COLOURS = ("#2f81f7", "#d29922", "#3fb950", "#f85149")
WIDTH, HEIGHT, LEFT, RIGHT = 900, 130, 20, 350

Curves = dict[str, Callable[[reading.Snapshot], float]]


def counted(name: str, *having: str) -> Callable[[reading.Snapshot], float]:
    """The sum of a counter's numbers with these values of labels."""
    return lambda found: (
        sum(
            number
            for values, number in found.counted[f"contentworker_{name}"].items()
            if set(having) <= set(values)
        )
        / MILLION
    )


def of_queue(name: str, field: str) -> Callable[[reading.Snapshot], float]:
    return lambda found: next(getattr(each, field) for each in found.state.queues if each.queue == name) or 0


def alive(found: reading.Snapshot) -> float:
    return sum(sign.age_seconds <= 15 for sign in found.signs)


SHOWN: dict[str, Curves] = {
    "Is it up?": {"workers that give signs of life": alive, "leases": lambda found: found.state.leases},
    "How far behind?": {
        "evaluation: messages ready": of_queue("evaluation", "ready"),
        "evaluation: age of the oldest, s": of_queue("evaluation", "oldest_message_seconds"),
        "rewrite: messages ready": of_queue("rewrite", "ready"),
    },
    "What failed?": {
        "failed runs": counted("tasks_total", "failure"),
        "dead letters": counted("dead_letters_total"),
        "messages back from a dead worker": counted("messages_reclaimed_total"),
    },
    "What does it cost?": {
        "thousandths of the price's unit": lambda found: 1000 * counted("llm_cost_total")(found),
        "calls of the model": counted("llm_calls_total"),
    },
    "What is it doing?": {
        "tasks done": counted("tasks_total", "success"),
        "articles for a person": counted("escalations_total"),
    },
}


class Model(BaseHTTPRequestHandler):
    """Answers what it was asked, and counts tokens by the word."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"].splitlines()[-1]
        time.sleep(0.2)
        words = len(text.split())
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            ],
            "usage": {"prompt_tokens": 5 * words, "completion_tokens": words, "total_tokens": 6 * words},
        }
        answer = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        with suppress(OSError):  # in the end its worker is gone
            self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def workers(env: dict[str, str]) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Start a queue's worker; all are gone in the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(queue: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "worker"]
        options = [f"--queues={queue}", "--concurrency=1", "--loglevel=error", f"--hostname={queue}@%h"]
        nowhere: Any = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        process = subprocess.Popen([*command, *options], cwd=ROOT, env=env, start_new_session=True, **nowhere)
        started.append(process)
        return process

    try:
        yield start
    finally:
        for each in started:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


def record(url: str, env: dict[str, str]) -> list[reading.Snapshot]:
    """What Redis knows at each second."""
    app = application.build(config.load(environ={}), url)
    found = []
    with workers(env) as start, app.connect_redis() as client:
        running = {queue: start(queue) for queue in QUEUES}
        while len(reading.read(client, QUEUES, ALL_COUNTED).signs) < len(QUEUES):
            time.sleep(0.1)
        for second in range(SECONDS):
            for _ in range(20 if second == KILLED_AT else second % 2):
                text = {"article_id": uuid.uuid4().hex, "content": f"{ARTICLE}\n\n{second}\n"}
                app.send_task("tasks.pipeline.process_content", kwargs=text, ignore_result=True)
            if second % 20 == 5:
                app.send_task("tasks.evaluation.score_aeo", kwargs={"content": 5}, ignore_result=True)
            if second == KILLED_AT:
                time.sleep(0.3)  # until it is in the middle of them
                os.killpg(running["evaluation"].pid, signal.SIGKILL)
            if second == BACK_AT:
                start("evaluation")
            found.append(reading.read(client, QUEUES, ALL_COUNTED))
            time.sleep(1)
    app.close()
    return found


def draw(found: list[reading.Snapshot]) -> str:
    """A row for each question; each curve has a scale of its own, and its last and greatest value."""
    height = HEIGHT * len(SHOWN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 30}" role="img">',
        "<title>A minute of workers, as the metrics show it</title>",
        "<style>text { font: 13px system-ui, sans-serif; fill: #1f2328 } .head { font-weight: 600 }",
        ".line { stroke: #d0d7de } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 }",
        ".line { stroke: #30363d } }</style>",
    ]
    right = WIDTH - RIGHT
    for row, (question, curves) in enumerate(SHOWN.items()):
        top, bottom = row * HEIGHT + 40, (row + 1) * HEIGHT - 5
        parts.append(f'<text class="head" x="{LEFT}" y="{top - 15}">{escape(question)}</text>')
        parts.append(f'<line class="line" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        for number, (label, value) in enumerate(curves.items()):
            values = [value(each) for each in found]
            greatest = max(values)
            points = " ".join(
                f"{LEFT + place * (right - LEFT) / (len(values) - 1):.0f},"
                f"{bottom - each / (greatest or 1) * (bottom - top):.0f}"
                for place, each in enumerate(values)
            )
            colour, y = COLOURS[number], top + 12 + 22 * number
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
            parts.append(f'<rect x="{right + 20}" y="{y - 10}" width="10" height="10" fill="{colour}"/>')
            said = f"{label}: {values[-1]:.3g}" + (f", most {greatest:.3g}" if greatest > values[-1] else "")
            parts.append(f'<text x="{right + 38}" y="{y}">{escape(said)}</text>')
    marks = f"{SECONDS} s; at {KILLED_AT} s the worker of evaluation is killed, at {BACK_AT} s another starts"
    parts.append(f'<text x="{LEFT}" y="{height + 20}">{marks}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Write the picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        local_redis.throwaway(Path(folder) / "redis") as url,
        ThreadingHTTPServer(("127.0.0.1", 0), Model) as model,
    ):
        threading.Thread(target=model.serve_forever, daemon=True).start()
        env = {
            **os.environ,
            "REDIS_URL": url,
            "STATE_DIRECTORY": folder,
            "OPENAI_API_KEY": "none",
            "WORKER__LLM__BASE_URL": f"http://127.0.0.1:{model.server_port}/v1",
            "WORKER__LLM__MODEL": "stand-in",
            "WORKER__LLM__OUTPUT_PRICE_PER_MILLION_TOKENS": "10",
            "WORKER__PIPELINE__MIN_AEO_SCORE": "99",
            "WORKER__PIPELINE__ESCALATED_VERDICTS": "[]",
        }
        (ROOT / "docs" / "metrics.svg").write_text(draw(record(url, env)), "utf-8")
        model.shutdown()


if __name__ == "__main__":
    main()
