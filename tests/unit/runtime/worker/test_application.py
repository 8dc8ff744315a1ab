"""Celery's own configuration, made from ours."""

import ssl
import subprocess
import sys
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from celery.exceptions import QueueNotFound

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime.settings import BrokerSettings, QueueSettings, RuntimeSettings
from contentworker.runtime.worker import application
from contentworker.runtime.worker.application import celery_configuration

NOWHERE = "redis://127.0.0.1:1/0"
SETTINGS = config.load(environ={})


def configuration(url: str = NOWHERE) -> dict[str, Any]:
    return celery_configuration(SETTINGS, url)


def test_every_key_is_one_that_celery_knows() -> None:
    """A misspelt key would be ignored in silence."""
    known = {key for key, _ in flatten(NAMESPACES)}
    # The Redis backend reads this one, and Celery's table of defaults has not got it.
    assert set(configuration()) - known == {"redis_backend_health_check_interval"}


def test_json_only() -> None:
    """Nothing is pickled, and nothing pickled is accepted."""
    found = configuration()
    assert (found["task_serializer"], found["result_serializer"]) == ("json", "json")
    assert found["accept_content"] == found["result_accept_content"] == ["json"]


def test_at_least_once() -> None:
    """Acknowledged after the work, given back when the process is lost, one message a slot."""
    found = configuration()
    assert found["task_acks_late"]
    assert found["task_reject_on_worker_lost"]
    assert found["worker_prefetch_multiplier"] == 1


def test_a_pool_process_has_a_minute_to_start() -> None:
    """With Celery's 4 s, a busy machine kills each before it is up, and starts the next."""
    assert configuration()["worker_proc_alive_timeout"] == 60


def test_limits_are_the_documented_ones() -> None:
    """270 s soft, 300 s hard, 1000 tasks a process."""
    found = configuration()
    assert (found["task_soft_time_limit"], found["task_time_limit"]) == (270, 300)
    assert found["worker_max_tasks_per_child"] == 1000


def test_broker_is_waited_for() -> None:
    """At the start and later, without end."""
    found = configuration()
    assert found["broker_connection_retry_on_startup"]
    assert found["broker_connection_max_retries"] is None


def test_broker_settings_reach_the_transport() -> None:
    """Each of them."""
    broker = BrokerSettings(
        visibility_timeout_seconds=1001,
        restore_interval_seconds=1002,
        connect_timeout_seconds=1003,
        socket_timeout_seconds=1004,
        health_check_interval_seconds=1005,
    )
    found = celery_configuration(SETTINGS.model_copy(update={"broker": broker}), NOWHERE)
    options = found["broker_transport_options"]
    assert (options["visibility_timeout"], options["unacked_restore_interval"]) == (1001, 1002)
    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (1003, 1004)
    assert options["health_check_interval"] == found["redis_backend_health_check_interval"] == 1005
    assert (found["redis_socket_connect_timeout"], found["redis_socket_timeout"]) == (1003, 1004)


@pytest.mark.parametrize(
    ("url", "checked"),
    [("redis://h", False), ("rediss://h", True)],
)
def test_certificates_are_checked(url: str, checked: bool) -> None:
    """TLS without a certificate check would be no protection."""
    found = configuration(url)
    for key in ("broker_use_ssl", "redis_backend_use_ssl"):
        assert found.get(key) == ({"ssl_cert_reqs": ssl.CERT_REQUIRED} if checked else None)


def test_modules_that_only_connect_signals_are_loaded() -> None:
    """Nothing else imports them. Without them pool processes outlive their worker."""
    names = ("logs.error_reports", "logs.lines", "worker.pool_children")
    code = f"""
import sys, celery_worker
missing = {{f"contentworker.runtime.{{name}}" for name in {names}}} - sys.modules.keys()
sys.exit(str(missing) if missing else 0)
"""
    command = [sys.executable, "-W", "error:::contentworker", "-W", "error::FutureWarning", "-c", code]
    done = subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_building_connects_to_nothing() -> None:
    """An application for a server that is not there can be made, and knows every queue."""
    app = application.build(SETTINGS, NOWHERE)
    assert set(app.amqp.queues) == set(SETTINGS.queues)
    assert app.conf.task_default_queue == "celery"
    app.close()


@pytest.fixture
def app() -> Any:
    """An application on no server."""
    app = application.build(SETTINGS, NOWHERE)
    yield app
    app.close()


def test_misspelt_queue_is_an_error(app: Celery) -> None:
    """Otherwise it would be a new queue without a worker."""
    with pytest.raises(QueueNotFound, match="evaluatoin"):
        app.amqp.router.expand_destination("evaluatoin")


def test_router_uses_the_patterns(app: Celery) -> None:
    """Clients and workers route alike."""
    route = app.amqp.router.route
    assert route({}, "tasks.evaluation.score_aeo")["queue"].name == "evaluation"
    assert route({}, "no.pattern.matches")["queue"].name == "celery"


def test_ambiguous_task_cannot_be_sent() -> None:
    """A task that two queues claim is refused where it is sent."""
    queues = {
        "celery": QueueSettings(description="x", tasks=("a.*",)),
        "b": QueueSettings(description="x", tasks=("*.b",)),
    }
    app = application.build(RuntimeSettings(queues=queues), NOWHERE)
    with pytest.raises(ConfigError, match="equally specific patterns"):
        app.send_task("a.b", retry=False)
    app.close()


def test_connections_show_a_password_only_where_there_is_one() -> None:
    """kombu's log lines show a masked one for every address."""
    for address, shown in (
        ("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
        ("redis://:hunter2@127.0.0.1:1/0", "redis://:**@127.0.0.1:1/0"),
    ):
        connection = application.build(SETTINGS, address).connection_for_write()
        assert connection.as_uri() == connection.clone().as_uri() == shown


def test_the_time_is_celerys() -> None:
    """Ours is only faster: the same moment, in the same zone."""
    app = application.Application("times", timezone="Europe/Berlin", set_as_current=False)
    before, now, after = Celery.now(app), app.now(), Celery.now(app)
    assert before <= now <= after
    assert (now.tzinfo, now.utcoffset()) == (before.tzinfo, before.utcoffset())
