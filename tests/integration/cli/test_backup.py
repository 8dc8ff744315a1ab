"""`python -m contentworker backup`: what a server holds, and the records, as files that can be restored."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.servers import server
from tests.support import run_cli, wait_until

PASSWORD = "of-redis"


def test_what_is_copied_can_be_restored(tmp_path: Path) -> None:
    """A second server starts from the copy, and has it all; the records, too; older copies go."""
    state, copies = tmp_path / "state", tmp_path / "copies"
    state.mkdir()
    # >>> editorial
    with closing(sqlite3.connect(state / "escalations.sqlite3")) as records:
        records.execute("create table kept (name text)")
        records.execute("insert into kept values ('a record')")
        records.commit()
    # <<< editorial
    with server(tmp_path / "redis", password=PASSWORD) as running:
        url = f"redis://:{PASSWORD}@127.0.0.1:{running.port}/0"
        with running.client(PASSWORD) as client:
            client.rpush("evaluation", *(b"x" * 1000 for _ in range(1000)))
        for name in ("redis-20200101T000000Z.rdb", "redis-20200102T000000Z.rdb", "escalations-2020.sqlite3"):
            copies.mkdir(exist_ok=True)
            (copies / name).touch()
        (copies / ".film.part").touch()
        (copies / ".redis-20200101T000000Z.rdb.part").touch()
        done = run_cli("backup", str(copies), "--keep=2", redis_url=url, STATE_DIRECTORY=str(state))
        assert done.returncode == 0, done.stderr
        with running.client(PASSWORD) as client:
            wait_until(lambda: client.info("replication")["connected_slaves"] == 0, "it to let go")
    old, snapshot = sorted(copies.glob("redis-*"))
    assert old.name == "redis-20200102T000000Z.rdb"
    assert snapshot.stat().st_mode & 0o777 == 0o600
    snapshot.rename(tmp_path / "other-dump.rdb")
    lines = [f"dir {tmp_path}", "dbfilename other-dump.rdb"]
    with server(tmp_path / "restored", *lines) as running, running.client() as client:
        assert client.llen("evaluation") == 1000
    # >>> editorial
    with closing(sqlite3.connect(max(copies.glob("escalations-*")))) as records:
        assert records.execute("select name from kept").fetchall() == [("a record",)]
    # <<< editorial
    assert [each.name for each in copies.glob(".*")] == [".film.part"]  # not ours


def test_a_refusal_is_an_error(tmp_path: Path) -> None:
    """The user with few rights may not copy everything: said, and nothing is left of the copy."""
    few = "user few on >few ~* -@all +ping +hello +client"
    with server(tmp_path / "redis", few) as running:
        url = f"redis://few:few@127.0.0.1:{running.port}/0"
        done = run_cli("backup", str(tmp_path / "copies"), redis_url=url, STATE_DIRECTORY=str(tmp_path))
    assert done.returncode == 1
    assert "'sync' command" in done.stderr
    assert not list((tmp_path / "copies").iterdir())
