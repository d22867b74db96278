"""Render the configuration templates of every service into `conf` of the course's home.

>>> render(layout, credentials, kafka_lib, elasticsearch)
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import jinja2

from infra import layout as places
from infra.credentials import Credentials, write_env
from infra.elasticsearch_home import ElasticsearchHome
from infra.layout import Layout
from infra.processes import MARKER
from kernel_lib.gateway import OPENED
from kernel_lib.settings import Settings


def render(layout: Layout, secrets: Credentials, kafka_lib: Path, elasticsearch: ElasticsearchHome) -> None:
    """Write the configuration of all services, readable for their owner only."""
    values = {
        "opened_packages": OPENED,
        "layout": layout,
        "secrets": secrets,
        "kafka_lib": kafka_lib,
        "elasticsearch": elasticsearch,
        "checkout": places.CHECKOUT,
        "host": places.HOST,
        "marker": MARKER,
        "root": os.geteuid() == 0,
        "layout_brokers": places.BROKERS,
        "taskmanagers": places.TASKMANAGERS,
        "started_taskmanagers": places.STARTED_TASKMANAGERS,
        "task_slots": places.TASK_SLOTS,
    }
    for node in places.BROKERS:
        _write("kafka/server.properties", layout.conf / f"kafka/server-{node}.properties", node=node, **values)
    for name in (
        "kafka/log4j2.properties",
        "zookeeper/zoo.cfg",
        "flink/config.yaml",
        "flink/log4j-console.properties",
        "flink/log4j-cli.properties",
    ):
        _write(name, layout.conf / name, **values)
    _write("supervisord.conf", layout.conf / "supervisord.conf", **values)
    config = elasticsearch.home / "config"
    _write("elasticsearch/elasticsearch.yml", config / "elasticsearch.yml", **values)
    elasticsearch_users(secrets, elasticsearch)
    _write("elasticsearch/log4j2.properties", config / "log4j2.properties", **values)
    _write("elasticsearch/course.options", config / "jvm.options.d" / "course.options", **values)


def elasticsearch_users(
    secrets: Credentials, elasticsearch: ElasticsearchHome, learners: Mapping[str, str] | None = None
) -> None:
    """Write who may log in to Elasticsearch, which reads that within 5 s, and may do what.

    `learners`: passwords by names, for users who may do everything with indices of their name, and nothing else.
    """
    values = {
        "password_hash": _password_hash,
        "index_prefix": Settings.model_fields["elasticsearch_index_prefix"].default,
        "secrets": secrets,
        "learners": learners or {},
    }
    for name in ("roles.yml", "users_roles", "users"):
        _write(f"elasticsearch/{name}", elasticsearch.home / "config" / name, **values)


def write_settings(layout: Layout, secrets: Credentials) -> None:
    """Write what `kernel_lib.settings` reads: addresses to course.env, the course users' passwords to secrets.env."""
    services = {
        name: {"address": layout.address(name), "supervisor": layout.supervisor_url()} for name in places.SERVICES
    }
    write_env(
        layout.home / "course.env",
        {
            "kafka_bootstrap_servers": layout.brokers(),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "course",
            "flink_home": str(layout.flink_home),
            "flink_jobmanager_url": f"http://{layout.address('flink-jobmanager')}",
            "elasticsearch_url": f"http://{layout.address('elasticsearch')}",
            "elasticsearch_user": "course",
            "supervisor_user": "course",
            "course_services": json.dumps(services, separators=(",", ":")),
            "course_port_offset": str(layout.port_offset),
        },
    )
    write_env(
        layout.home / "secrets.env",
        {
            "sasl_password": secrets.kafka_course_password,
            "elasticsearch_password": secrets.elasticsearch_course_password,
            "supervisor_password": secrets.supervisor_password,
        },
        mode=0o600,
    )


def _password_hash(password: str) -> str:
    """Hash a password the way Elasticsearch's file realm reads it (Hasher.PBKDF2)."""
    salt, iterations = os.urandom(32), 10_000
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, dklen=32)
    return f"{{PBKDF2}}{iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def filled(template: str, **values: object) -> str:
    """Return a template of this folder with the values put in, escaped where it is a page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html"]),
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)


def _write(template: str, target: Path, **values: object) -> None:
    text = filled(template, **values)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)  # Elasticsearch's archive brings some of these files, readable for all
        file.write(text)
