from flink_jobs.event_time import Arrived
from flink_jobs.find_abandoned_carts import Cart, after, explanation

LIMIT_MS = 1_000


def event(event_type: str, number: int = 0) -> Arrived:
    page = f"/books/{number}" if event_type == "add_to_cart" else "/checkout"
    fields = {"eventId": f"r-{number}", "userId": "u", "eventType": event_type, "page": page, "sentAt": number}
    return Arrived(fields, LIMIT_MS)


def carts(*moments: tuple[int, list[Arrived]]) -> list[Cart]:
    """Return the carts that are abandoned in the course of some moments."""
    cart: Cart | None = None
    found = []
    for at_ms, arrived in moments:
        cart, abandoned = after(cart, at_ms, arrived)
        found += abandoned
    return found


def test_a_cart_is_abandoned_when_its_time_has_passed() -> None:
    [cart] = carts((0, [event("add_to_cart", 1)]), (1_000, []))
    assert (cart["user"], cart["opened_ms"], cart["event_ids"]) == ("u", 0, ["r-1"])
    assert not carts((0, [event("add_to_cart", 1)]), (999, []))


def test_a_purchase_up_to_the_end_of_the_limit_empties_the_cart() -> None:
    assert not carts((0, [event("add_to_cart")]), (1_000, [event("purchase")]))
    assert carts((0, [event("add_to_cart")]), (1_000, []), (1_001, [event("purchase")]))


def test_what_is_added_later_belongs_to_the_cart_and_does_not_prolong_it() -> None:
    [cart] = carts((0, [event("add_to_cart", 1)]), (600, [event("add_to_cart", 2)]), (1_000, []), (1_600, []))
    assert cart["event_ids"] == ["r-1", "r-2"]
    assert cart["sent_at"] == 2


def test_after_a_purchase_another_cart_is_opened() -> None:
    adds = (0, [event("add_to_cart", 1)]), (500, [event("purchase"), event("add_to_cart", 2)])
    [cart] = carts(*adds, (1_000, []), (1_500, []))
    assert (cart["opened_ms"], cart["event_ids"]) == (500, ["r-2"])


def test_a_purchase_without_a_cart_changes_nothing() -> None:
    assert after(None, 0, [event("purchase")]) == (None, [])


def test_the_explanation_names_each_product_once() -> None:
    [cart] = carts((0, [event("add_to_cart", 1), event("add_to_cart", 2), event("add_to_cart", 1)]), (1_000, []))
    assert explanation(cart) == "put into the cart: /books/1, /books/2; no purchase within 1 s"
