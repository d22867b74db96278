from pathlib import Path

import pytest

from flink_jobs import bulk
from flink_jobs.bulk import Elasticsearch

TAKEN = {"index": {"status": 201}}


def refused(status: int) -> dict[str, object]:
    error = {"type": "document_parsing_exception", "reason": "failed", "caused_by": {"reason": "no number"}}
    return {"index": {"status": status, "error": error}}


def test_a_body_has_two_lines_a_document() -> None:
    assert bulk.body([("r-1", '{"a":\n1}'), ("r-2", "{}")]) == (
        b'{"index":{"_id":"r-1"}}\n{"a": 1}\n{"index":{"_id":"r-2"}}\n{}\n'
    )


def test_a_refusal_names_the_document_and_the_reason() -> None:
    answer = {"errors": True, "items": [TAKEN, refused(400), TAKEN]}
    assert bulk.refusals(answer) == [(1, "document_parsing_exception: failed: no number")]
    assert bulk.refusals({"errors": False, "items": [TAKEN]}) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, bulk.Unavailable), (503, bulk.Unavailable), (404, bulk.Refused), (403, bulk.Refused)],
)
def test_what_is_not_the_document_s_fault_is_an_error(status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="no number"):
        bulk.refusals({"items": [TAKEN, refused(status)]})


def test_nobody_who_answers_is_unavailable(unused_port: int) -> None:
    with pytest.raises(bulk.Unavailable, match=f":{unused_port} does not answer"):
        bulk.write(Elasticsearch(f"http://localhost:{unused_port}"), "i", [("1", "{}")])


def test_the_password_comes_from_the_course_s_files_and_is_in_no_repr(tmp_path: Path) -> None:
    (tmp_path / "course.env").write_text("ELASTICSEARCH_URL=http://file:1/\nELASTICSEARCH_USER=ann\n")
    (tmp_path / "secrets.env").write_text("ELASTICSEARCH_PASSWORD=secret\n")
    found = Elasticsearch.from_environment({"COURSE_HOME": str(tmp_path)})
    assert (found.url, found.user, found.password, found.index_prefix) == ("http://file:1", "ann", "secret", "course-")
    assert "secret" not in repr(found)
