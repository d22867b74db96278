import pytest

from flink_jobs.match_purchases import MATCH, step, steps_type


@pytest.mark.parametrize(
    ("event_type", "page", "name"),
    [
        ("page_view", "/books/17", "look"),
        ("page_view", "/checkout", "checkout"),
        ("page_view", "/books", ""),
        ("page_view", "/cart", ""),
        ("page_view", "/", ""),
        ("add_to_cart", "/books/17", "cart"),
        ("purchase", "/checkout", "purchase"),
        ("search", "/search", ""),
        ("search", "/books/17", ""),
    ],
)
def test_an_event_is_a_step_by_its_type_and_page(event_type: str, page: str, name: str) -> None:
    assert step(event_type, page) == name


def test_the_pattern_uses_only_columns_of_a_step() -> None:
    used = {text.split("`")[1] for text in MATCH.split() if ".`" in text}
    assert used <= {*steps_type().get_field_names()}
