"""Which programs `up` runs, and what worker.toml may say of them."""

from pathlib import Path

import click
import pytest

from contentworker import config
from contentworker.cli import up
from contentworker.errors import ConfigError

QUEUE = '[queues.celery]\ndescription = "x"\n'


def load(folder: Path, text: str) -> config.Settings:
    (folder / "worker.toml").write_text(QUEUE + text)
    return config.load(folder / "worker.toml", environ={})


@pytest.mark.parametrize(
    ("only", "without", "chosen"),
    [
        ((), (), ["a", "b", "c", "d"]),
        (("c",), (), ["a", "b", "c"]),
        (("c",), ("a",), ["b", "c"]),
        (("a,d",), (), ["a", "d"]),
        ((), ("a", "b,c"), ["d"]),
    ],
)
def test_chosen(tmp_path: Path, only: tuple[str, ...], without: tuple[str, ...], chosen: list[str]) -> None:
    """In the order of the file; `--only` brings what is needed, also indirectly; `--without` wins."""
    text = "".join(
        f'[up.{name}]\ncommand = "true"\nafter = {after}\n'
        for name, after in (("a", "[]"), ("b", '["a"]'), ("c", '["b"]'), ("d", "[]"))
    )
    assert up._chosen(load(tmp_path, text).up, only, without) == chosen


def test_an_empty_table(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"\[up\] names no program"):
        up._chosen(load(tmp_path, "").up, (), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('command = "a \'b"', "up.a.command: must be words as a shell splits them (No closing quotation)"),
        (
            'command = "a"\nafter = ["b"]',
            "worker.toml:8: up.a.after: there is no program 'b' in [up]; allowed: c",
        ),
        ('command = "a"\nafter = ["c"]', "up.c.after: waits for itself: c after a after c"),
        (
            'command = "a"\nready_section = "python"',
            "up.a.ready_section: must be one of: flower, health, metrics",
        ),
    ],
    ids=["words", "unknown", "cycle", "section"],
)
def test_wrong_tables(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f'[up.c]\ncommand = "c"\nafter = ["a"]\n[up.a]\n{text}\n')
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
