import dataclasses
import re
import stat
import tomllib
from pathlib import Path

import pytest

from infra import render
from infra.credentials import Credentials
from infra.elasticsearch_home import ElasticsearchHome
from infra.layout import BROKERS, HOST, PORTS, Layout
from kernel_lib.settings import load

SECRETS = Credentials()
OFFSET = 20_000
ADDRESS = re.compile(r"\b(\d{1,3}(?:\.\d{1,3}){3})\b")


def rendered(home: Path, *, port_offset: int = 0) -> dict[str, str]:
    """Render everything below `home`; return the text of each file by its name there."""
    elasticsearch = ElasticsearchHome(home / "data", home / "java", "")
    layout = Layout(home, port_offset=port_offset)
    render.render(layout, SECRETS, home / "kafka-lib", elasticsearch)
    render.write_settings(layout, SECRETS)
    return {str(path.relative_to(home)): path.read_text() for path in home.rglob("*") if path.is_file()}


def test_every_template_is_rendered_and_none_has_an_undefined_word(tmp_path: Path) -> None:
    names = {Path(name).name for name in rendered(tmp_path)}
    assert names >= {f"server-{node}.properties" for node in BROKERS}
    assert names >= {"zoo.cfg", "config.yaml", "supervisord.conf", "elasticsearch.yml", "users", "roles.yml"}


def test_nothing_of_a_template_is_left(tmp_path: Path) -> None:
    assert not [name for name, text in rendered(tmp_path).items() if "{{" in text or "{%" in text]


def test_every_file_with_a_secret_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    secrets = dataclasses.astuple(SECRETS)
    with_secrets = [name for name, text in rendered(tmp_path).items() if any(secret in text for secret in secrets)]
    assert {Path(name).name for name in with_secrets} >= {"secrets.env", "supervisord.conf", "server-1.properties"}
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in with_secrets} == {0o600}


def test_configuration_that_was_readable_for_all_is_so_no_longer(tmp_path: Path) -> None:
    users = tmp_path / "data" / "elasticsearch" / "config" / "users"
    users.parent.mkdir(parents=True)
    users.touch(mode=0o644)
    rendered(tmp_path)
    assert stat.S_IMODE(users.stat().st_mode) == 0o600


def test_elasticsearch_gets_hashes_and_no_password(tmp_path: Path) -> None:
    users = rendered(tmp_path)["data/elasticsearch/config/users"]
    assert re.search(r"^course:\{PBKDF2\}10000\$\S{44}\$\S{44}$", users, re.MULTILINE)
    assert SECRETS.elasticsearch_course_password not in users


def test_the_settings_know_no_administrators_password(tmp_path: Path) -> None:
    files = rendered(tmp_path)
    for secret in (SECRETS.kafka_admin_password, SECRETS.kafka_broker_password, SECRETS.elasticsearch_admin_password):
        assert secret not in files["secrets.env"]
    assert "password" not in files["course.env"].lower()


def test_no_configuration_names_an_address_outside_loopback(tmp_path: Path) -> None:
    found = {address for text in rendered(tmp_path).values() for address in ADDRESS.findall(text)}
    assert found == {HOST}


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("conf/flink/config.yaml", ["rest.bind-address: {}", "jobmanager.bind-host: {}", "taskmanager.bind-host: {}"]),
        ("conf/zookeeper/zoo.cfg", ["clientPortAddress={}", "admin.enableServer=false"]),
        ("data/elasticsearch/config/elasticsearch.yml", ["network.host: {}"]),
    ],
)
def test_what_would_listen_on_all_interfaces_by_itself_is_bound_to_loopback(
    tmp_path: Path, file: str, lines: list[str]
) -> None:
    assert set(rendered(tmp_path)[file].splitlines()) >= {line.format(HOST) for line in lines}


def test_the_offset_moves_every_port(tmp_path: Path) -> None:
    files = rendered(tmp_path, port_offset=OFFSET)
    left = {port: name for name, text in files.items() for port in PORTS.values() if re.search(rf":{port}\b", text)}
    assert not left
    for name in PORTS:
        if name != "jupyterlab":
            moved = str(PORTS[name] + OFFSET)
            assert any(moved in text for text in files.values()), name


def test_the_settings_that_are_written_are_the_settings_that_are_read(empty_home: Path) -> None:
    rendered(empty_home, port_offset=OFFSET)
    settings = load()
    assert settings.kafka_bootstrap_servers == "127.0.0.1:29092,127.0.0.1:29093,127.0.0.1:29094"
    assert settings.security_protocol == "SASL_PLAINTEXT"
    assert settings.sasl_password.get_secret_value() == SECRETS.kafka_course_password
    assert settings.course_services["kafka-2"].supervisor == "http://127.0.0.1:29001"


def test_brokers_create_no_topic_by_themselves_and_need_two_replicas_for_a_write(tmp_path: Path) -> None:
    lines = rendered(tmp_path)["conf/kafka/server-1.properties"].splitlines()
    assert {
        "auto.create.topics.enable=false",
        "default.replication.factor=3",
        "min.insync.replicas=2",
        "allow.everyone.if.no.acl.found=false",
        "sasl.enabled.mechanisms=SCRAM-SHA-512",
    } <= set(lines)


def test_supervisor_runs_what_the_layout_names_and_no_password_is_on_a_command_line(tmp_path: Path) -> None:
    text = rendered(tmp_path)["conf/supervisord.conf"]
    commands = [line for line in text.splitlines() if line.startswith("command=")]
    assert len(commands) == 10 + 1  # the services and the reaper
    assert not [secret for secret in dataclasses.astuple(SECRETS) if secret in "".join(commands)]


def test_the_lock_and_the_specification_of_artifacts_can_be_read() -> None:
    folder = Path(render.__file__).parent
    assert set(tomllib.loads((folder / "artifacts.lock").read_text())) == {"kafka", "flink", "elasticsearch"}


def test_a_learner_is_a_user_of_elasticsearch_with_a_role_of_the_same_name(tmp_path: Path) -> None:
    home = ElasticsearchHome(tmp_path, tmp_path, "")
    render.elasticsearch_users(SECRETS, home, {"grade-1": "one", "grade-2": "two"})
    users, roles, rights = ((home.home / "config" / name).read_text() for name in ("users", "users_roles", "roles.yml"))
    assert [line.partition(":")[0] for line in users.splitlines()] == ["admin", "course", "grade-1", "grade-2"]
    assert roles.splitlines() == ["superuser:admin", "course:course", "grade-1:grade-1", "grade-2:grade-2"]
    assert rights.count('names: ["course-grade-1*"]') == 1
    render.elasticsearch_users(SECRETS, home)
    assert "grade" not in "".join(path.read_text() for path in (home.home / "config").iterdir())
