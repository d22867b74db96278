import pytest

from flink_jobs.average_values import check


@pytest.mark.parametrize(("size", "slide"), [(10, 1), (1, 1), (0.9, 0.3)])
def test_a_window_is_a_whole_number_of_slides(size: float, slide: float) -> None:
    check("sensorId", size, slide)


@pytest.mark.parametrize(("size", "slide"), [(10, 3), (1, 2), (10, 0), (-2, -1)])
def test_other_windows_are_refused(size: float, slide: float) -> None:
    with pytest.raises(ValueError, match=f"size_seconds is {size}, no whole number of slides of {slide} s"):
        check("deviceType", size, slide)


def test_another_key_is_refused() -> None:
    with pytest.raises(ValueError, match="by is 'unit', not one of deviceType, sensorId"):
        check("unit", 10, 1)
