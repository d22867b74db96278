import pytest

from flink_jobs.connectors import Until
from flink_jobs.total_sales import end


@pytest.mark.parametrize(
    ("mode", "until", "ends"),
    [
        ("streaming", None, None),
        ("streaming", {0: 7}, {0: 7}),
        ("batch", None, "latest"),
        ("batch", {0: 7}, {0: 7}),
    ],
)
def test_a_batch_always_has_an_end(mode: str, until: Until, ends: Until) -> None:
    assert end(mode, until) == ends


def test_another_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'bounded', not one of streaming, batch"):
        end("bounded", None)
