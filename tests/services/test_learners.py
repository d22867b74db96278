"""A learner who is graded may do everything in the own namespace and nothing outside, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from infra import elasticsearch_home, learners, provision
from infra.credentials import credentials
from infra.layout import Layout, layout
from infra.learners import Learner
from kernel_lib import cluster, groups, indices, jobs, producer, services, topics
from kernel_lib.errors import AuthenticationFailed, CourseError, NotFound, PermissionRefused
from kernel_lib.settings import Settings, load

# Their hashes are smaller than those of the users of the course.
EARLY = ("grade-0002335a", "grade-0002335b")
KINDS = {"users", "rights", "topics", "groups", "jobs", "indices", "templates", "logins", "processes"}


@pytest.fixture
def course() -> Layout:
    return layout()


@pytest.fixture
def ann(course: Layout, settings: Settings) -> Iterator[Settings]:
    """The settings of a learner; those of the test are somebody else's."""
    topics.create("letters", partitions=1)
    topics.write("letters", b"{}")
    indices.put("letters", {})
    with learners.enrolled(course) as learner:
        yield learner.settings()


def as_somebody_else(learner: Settings, settings: Settings) -> Settings:
    """Return the learner's login with the other's namespace."""
    return learner.model_copy(update={"namespace": settings.namespace})


def test_a_learner_runs_jobs_and_fills_topics_and_indices_of_the_own_namespace(ann: Settings) -> None:
    """Fails when the ACLs of transactional ids, or of groups, are not granted."""
    topics.create("letters", settings=ann)
    indices.put("letters", {}, settings=ann)
    job = jobs.submit(lambda event: event, name="copy", source="user-events", sink="letters", settings=ann)
    with producer.start("user-events", events_per_second=50, count=50, seed=1, settings=ann) as sending:
        sending.wait()
    job.drain()
    assert len(topics.read("letters", settings=ann)) == 50
    assert groups.lag("copy", "user-events", settings=ann)
    assert indices.list_names(settings=ann) == ["letters"]


def test_a_learner_neither_sees_nor_changes_topics_of_others(ann: Settings, settings: Settings) -> None:
    """Fails when the ACL of topics is granted for all names."""
    intruder = as_somebody_else(ann, settings)
    assert topics.list_names(settings=intruder) == []
    for attempt in (topics.read, topics.delete, topics.describe):
        with pytest.raises((NotFound, PermissionRefused)):
            attempt("letters", settings=intruder)
    with pytest.raises((NotFound, PermissionRefused)):
        topics.write("letters", b"x", settings=intruder)
    with pytest.raises(CourseError):
        topics.create("more", settings=intruder)
    assert topics.list_names(settings=settings) == ["letters"]


def test_a_learner_does_not_touch_groups_of_others(ann: Settings, settings: Settings) -> None:
    """Fails when the ACL of groups is granted for all names."""
    with pytest.raises(PermissionRefused):
        groups.forget("readers", settings=as_somebody_else(ann, settings))


def test_a_learner_neither_sees_nor_changes_indices_of_others(ann: Settings, settings: Settings) -> None:
    """Fails when the role's indices are those of the course."""
    intruder = as_somebody_else(ann, settings)
    assert indices.list_names(settings=intruder) == []
    for attempt in (indices.count, indices.delete):
        with pytest.raises(PermissionRefused):
            attempt("letters", settings=intruder)
    with pytest.raises(PermissionRefused):
        indices.put("more", {}, settings=intruder)
    assert indices.list_names(settings=settings) == ["letters"]


def test_nothing_of_a_learner_is_left(course: Layout, settings: Settings) -> None:
    """Fails when the ACLs, the user, a group, an index with its template, the topics or a process are not removed."""
    with learners.enrolled(course) as learner:
        leave_much(learner)
        assert traces(course, learner) == KINDS
    assert not traces(course, learner)
    assert not learner.home.exists()
    with pytest.raises(AuthenticationFailed):
        topics.list_names(settings=learner.settings())


def test_what_an_interrupted_run_left_is_removed_by_the_next(course: Layout, settings: Settings) -> None:
    """Fails when only homes are looked for: a run may end before, or after, there is one."""
    name = "grade-00000000"
    provision.add_learner(course, credentials(course.home), name, "secret")
    assert learners.remove_leftovers(course) == [name]
    assert name not in provision.users(course, credentials(course.home))


@pytest.mark.alone
def test_a_broker_that_starts_again_knows_its_users_though_learners_were_deleted(course: Layout) -> None:
    """Fails when no user that stays comes before, in the order of Java's hashes, those that were deleted."""
    secrets = credentials(course.home)
    for name in EARLY:
        provision.add_learner(course, secrets, name, "secret")
        provision.remove_learner(course, secrets, name)
    services.stop("kafka-2")
    services.start("kafka-2")
    assert topics.list_names(settings=load(kafka_bootstrap_servers=course.address("kafka-2")))


def leave_much(learner: Learner) -> None:
    """Leave something of each kind, in the learner's namespace and in one whose name begins with it."""
    mine = learner.settings()
    exercise = mine.model_copy(update={"namespace": f"{mine.namespace}-exercise"})
    for place in (mine, exercise):
        topics.create("results", settings=place)
        indices.put_template("results", {}, settings=place)
    jobs.submit(lambda event: event, name="copy", source="user-events", sink="results", settings=mine, owner="course")
    producer.start("user-events", events_per_second=50, count=50, seed=1, settings=mine).wait()
    jobs.find("copy", settings=mine).wait_running()
    commit(mine)
    Popen(["sleep", "600"], env=learner.environment(), start_new_session=True)


def commit(mine: Settings) -> None:
    """Let a group of readers commit, and be gone without a word."""
    reader = Consumer({**mine.kafka_client(), "group.id": mine.named("readers")})
    reader.commit(offsets=[TopicPartition(mine.named("user-events"), 0, 1)], asynchronous=False)
    reader.close()


def traces(course: Layout, learner: Learner) -> set[str]:
    """Return the kinds of things that there are of a learner."""
    everything, config = load(namespace=""), elasticsearch_home.locate(course).home / "config"
    found = {
        "users": provision.users(course, credentials(course.home)),
        "rights": principals(course),
        "topics": topics.list_names(settings=everything),
        "groups": groups.names(settings=everything),
        "jobs": [job["name"] for job in cluster.jobs(everything, live=True)],
        "indices": indices.list_names(settings=everything),
        "templates": templates(course, everything),
        "logins": [line for name in ("users", "users_roles", "roles.yml") for line in lines(config / name)],
        "processes": [learner.name for process in psutil.process_iter() if runs_as(process, learner)],
    }
    return {kind for kind, names in found.items() if any(name.startswith(learner.name) for name in names)}


def principals(course: Layout) -> list[str]:
    password = credentials(course.home).kafka_admin_password
    admin = AdminClient(load(sasl_username="admin", sasl_password=password).kafka_client())
    any_name: Any = None
    of_all = (ResourceType.ANY, any_name, ResourcePatternType.ANY, any_name, any_name)
    found = admin.describe_acls(AclBindingFilter(*of_all, AclOperation.ANY, AclPermissionType.ANY)).result()
    return [binding.principal.removeprefix("User:") for binding in found]


def templates(course: Layout, settings: Settings) -> list[str]:
    login = ("admin", credentials(course.home).elasticsearch_admin_password)
    found = httpx.get(f"{settings.elasticsearch_url}/_index_template", auth=login).json()["index_templates"]
    return [template["name"].removeprefix("course-") for template in found]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def runs_as(process: psutil.Process, learner: Learner) -> bool:
    try:
        return process.environ().get("COURSE_HOME") == str(learner.home)
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False
