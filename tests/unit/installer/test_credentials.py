"""The files of the secrets: what is made, what is kept, what is refused."""

import os
import re
from pathlib import Path

import pytest

from contentworker.installer import credentials
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest

FOLDER = "/etc/content-worker/credentials"
NAMES = ["FLOWER_BASIC_AUTH", "OPENAI_API_KEY", "REDIS_URL", "redis-password.conf"]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A machine whose folder for credentials is empty."""
    layout = Layout(tmp_path, "/opt/x")
    layout.at(FOLDER).mkdir(parents=True)
    layout.at(FOLDER).chmod(0o700)
    return layout


def write(layout: Layout, name: str, text: str, mode: int = 0o600) -> None:
    layout.at(f"{FOLDER}/{name}").write_text(text)
    layout.at(f"{FOLDER}/{name}").chmod(mode)


def test_secrets_are_made_if_nobody_gave_them(layout: Layout) -> None:
    """Redis and its clients get the same password of 256 bits; a key that only a person can give is empty."""
    made = credentials.values(NAMES, layout, {}, own_redis=True, redis_port=6380)
    (password,) = re.findall(rb"^requirepass ([0-9a-f]{64})\n$", made["redis-password.conf"])
    assert made["REDIS_URL"] == b"redis://:%s@127.0.0.1:6380/0\n" % password
    assert re.fullmatch(rb"content-worker:[\w-]{32}\n", made["FLOWER_BASIC_AUTH"])
    assert made["OPENAI_API_KEY"] == b""
    again = credentials.values(NAMES, layout, {}, own_redis=True, redis_port=6380)
    assert again["FLOWER_BASIC_AUTH"] != made["FLOWER_BASIC_AUTH"]
    assert again["REDIS_URL"] != made["REDIS_URL"]


def test_what_is_given_is_taken_and_what_exists_is_kept(layout: Layout) -> None:
    given = {"REDIS_URL": "redis://h", "OPENAI_API_KEY": "sk", "FLOWER_BASIC_AUTH": "me:x"}
    write(layout, "OPENAI_API_KEY", "mine")
    made = credentials.values(NAMES[:3], layout, given, own_redis=False, redis_port=0)
    assert made == {"REDIS_URL": b"redis://h\n", "FLOWER_BASIC_AUTH": b"me:x\n"}


def test_a_known_password_is_used_again(layout: Layout) -> None:
    """An installation that was interrupted between the two files of Redis' password continues with it."""
    write(layout, "redis-password.conf", "requirepass known\n")
    made = credentials.values(NAMES[2:], layout, {}, own_redis=True, redis_port=6380)
    assert made == {"REDIS_URL": b"redis://:known@127.0.0.1:6380/0\n"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("redis://:known@127.0.0.1:6380/0\n", None, id="right"),
        pytest.param("redis://:known@127.0.0.1:6379/0\n", 6380, id="another port"),
        pytest.param("redis://:old@localhost:6380\n", 6380, id="another password"),
        pytest.param("redis://:known@10.0.0.5:6379/0\n", None, id="another server"),
        pytest.param("rediss://:known@127.0.0.1:6379/0\n", None, id="with TLS"),
        pytest.param("redis://:known@127.0.0.1:6379/0?x=1\n", None, id="with an option"),
        pytest.param(None, None, id="none"),
    ],
)
def test_only_our_own_address_is_replaced(layout: Layout, written: str | None, expected: int | None) -> None:
    """If a person pointed REDIS_URL at another server, that stays."""
    write(layout, "redis-password.conf", "requirepass known\n")
    if written:
        write(layout, "REDIS_URL", written)
    address = f"redis://:known@127.0.0.1:{expected}/0\n".encode() if expected else None
    assert credentials.own_address(layout, 6380) == address


def test_no_address_is_ours_without_our_password(layout: Layout) -> None:
    write(layout, "REDIS_URL", "redis://:x@127.0.0.1:6379/0\n")
    assert credentials.own_address(layout, 6380) is None


def test_whether_a_redis_is_installed(layout: Layout) -> None:
    """Unless a person gave an address, in the environment or in a file that we did not make."""
    assert credentials.needs_own_redis(layout, None, is_given=False)
    assert not credentials.needs_own_redis(layout, None, is_given=True)
    write(layout, "REDIS_URL", "redis://h")
    assert not credentials.needs_own_redis(layout, Manifest("/opt/x", "x"), is_given=False)
    ours = Manifest("/opt/x", "x", own_redis=True, credentials=["REDIS_URL"])
    assert credentials.needs_own_redis(layout, ours, is_given=True)


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o600, False), (0o700, False), (0o640, True), (0o604, True), (0o601, True)]
)
def test_a_secret_that_others_can_read_is_refused(layout: Layout, mode: int, is_open: bool) -> None:
    """With its name and mode, and what to type."""
    write(layout, "KEY", "x", mode)
    if not is_open:
        credentials.refuse_open_ones(layout)
        return
    with pytest.raises(InstallError, match=rf"KEY .*mode {mode:04o}.* sudo chmod 600 {FOLDER}/KEY$"):
        credentials.refuse_open_ones(layout)


def test_an_open_folder_is_refused(layout: Layout) -> None:
    layout.at(FOLDER).chmod(0o710)
    with pytest.raises(InstallError, match=rf"sudo chmod 700 {FOLDER}$"):
        credentials.refuse_open_ones(layout)


def test_a_secret_of_another_user_is_refused(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must belong to root, or to the user who stages a tree."""
    write(layout, "KEY", "x")
    owner = layout.at(FOLDER).stat().st_uid
    if owner == 0:
        if os.geteuid():
            pytest.skip("files of root's are fine for everybody")
        os.chown(layout.at(f"{FOLDER}/KEY"), 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(InstallError, match=r"belongs to uid \d+, not root"):
        credentials.refuse_open_ones(layout)
