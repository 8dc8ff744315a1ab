"""supervisord.conf runs what the units run."""

from configparser import RawConfigParser

from contentworker import config
from contentworker.generate import units
from tests.support import ROOT

SETTINGS = config.load(environ={"WORKER__SERVICES__WATCHDOG_SECONDS": "17"})
RENDERED = units.render(SETTINGS, ROOT / "systemd" / "templates")
PARSED = RawConfigParser()
for name in ("supervisord.conf", "supervisord-redis.conf"):
    PARSED.read_string(RENDERED[name])

SERVICES = [f"celery-{name}" for name in (*units.SUPERVISED, "redis")]
ALWAYS = {"autorestart": "true", "startsecs": "5", "startretries": "1000000000", "killasgroup": "true"}
OPT = "/opt/content-worker"


def test_every_queue_and_service_has_a_program_that_is_never_given_up() -> None:
    programs = {name.removeprefix("program:"): PARSED[name] for name in PARSED.sections() if ":" in name}
    del programs["rpcinterface:supervisor"], programs["group:celery-worker"]
    assert list(programs) == [*SETTINGS.queues, *SERVICES]
    for program in programs.values():
        assert ALWAYS.items() <= dict(program).items()
    assert PARSED["group:celery-worker"]["programs"].split(",") == [*SETTINGS.queues]
    assert 'WORKER_WATCHDOG_SECONDS="17"' in PARSED["supervisord"]["environment"]


def test_a_worker_has_command_folder_account_and_time_of_its_unit() -> None:
    program = PARSED["program:rewrite"]
    python = f"{OPT}/queues/rewrite/environment/bin/python"
    assert program["command"] == f"{python} -m contentworker worker --queue rewrite --hostname=rewrite@%%h"
    assert program["directory"] == f"{OPT}/queues/rewrite"
    assert program["user"] == "content-worker"
    assert program["stopwaitsecs"] == "330"
    assert (
        program["environment"] == 'WORKER_ALIVE_FILE="/var/lib/content-worker/alive/%(program_name)s/alive"'
    )
    assert program["stdout_logfile"] == "/var/log/content-worker/rewrite.log"


def test_services_differ_from_their_units_where_systemd_makes_the_folders() -> None:
    health, redis = PARSED["program:celery-health"], PARSED["program:celery-redis"]
    assert health["command"].endswith(" health-server --alive-folder /var/lib/content-worker/alive")
    assert health["stdout_logfile"] == "/var/log/content-worker/health.log"
    assert redis["command"].endswith(" --include /etc/content-worker/credentials/redis-password.conf")
    assert (redis["user"], redis["stopwaitsecs"]) == ("content-worker-redis", "60")
    assert redis["priority"] == "1"
    assert PARSED["program:celery-desk"]["autostart"] == "false"  # editorial
    flower = 'STATE_DIRECTORY="/var/lib/content-worker/flower"'
    assert PARSED["program:celery-flower"]["environment"] == flower
