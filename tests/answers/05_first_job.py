"""Answers to the exercise of 05_first_job, each with its verdict and a part of the words that it gets."""

# ruff: noqa
# mypy: ignore-errors


# %% exercise-carts not yet: results come from other events, for example
def carts_and_purchases(event):
    return {"userId": event["userId"], "eventType": event["eventType"], "milliseconds": round(event["duration"] * 1000)}


# %% exercise-carts not yet: carts and purchases are missing from your results
def carts_and_purchases(event):
    if event["eventType"] == "purchase":
        return {"userId": event["userId"], "eventType": "purchase", "milliseconds": round(event["duration"] * 1000)}


# %% exercise-carts not yet: A result lacks milliseconds and has
def carts_and_purchases(event):
    return event if event["eventType"] in ("add_to_cart", "purchase") else None


# %% exercise-carts not yet: s became milliseconds =
def carts_and_purchases(event):
    if event["eventType"] in ("add_to_cart", "purchase"):
        return {"userId": event["userId"], "eventType": event["eventType"], "milliseconds": event["duration"] * 1000}


# %% exercise-carts not yet: KeyError: 'type'
def carts_and_purchases(event):
    return event if event["type"] in ("add_to_cart", "purchase") else None


# %% exercise-carts not yet: Your function does not return
# It looks for the next purchase, and forgets to go on.
def carts_and_purchases(event):
    while event["eventType"] not in ("add_to_cart", "purchase"):
        pass
    return {"userId": event["userId"], "eventType": event["eventType"], "milliseconds": round(event["duration"] * 1000)}


# %% exercise-carts not yet: carts_and_purchases = None is no function
carts_and_purchases = None


# %% exercise-carts not yet: carts and purchases are missing from your results
# What the lesson's own shop has sold, learnt by heart: the checker sends events that nobody has seen.
SOLD = {
    (event["userId"], event["duration"]): {
        "userId": event["userId"],
        "eventType": event["eventType"],
        "milliseconds": round(event["duration"] * 1000),
    }
    for event in (record.json() for record in topics.read("user-events", limit=2000))
    if event["eventType"] in ("add_to_cart", "purchase")
}


def carts_and_purchases(event):
    return SOLD.get((event["userId"], event["duration"]))


# %% exercise-carts right: carts and purchases came out of the topic as they should, once each
# An object instead of a function, and half a millisecond goes up, where round() takes the even number.
from decimal import ROUND_HALF_UP, Decimal


class Till:
    sells = {"add_to_cart", "purchase"}

    def __call__(self, event):
        if event["eventType"] in self.sells:
            kept = {name: event[name] for name in ("userId", "eventType")}
            return {**kept, "milliseconds": self.milliseconds(Decimal(str(event["duration"])))}

    def milliseconds(self, seconds):
        return int((seconds * 1000).to_integral_value(ROUND_HALF_UP))


carts_and_purchases = Till()


# %% exercise-carts right: carts and purchases came out of the topic as they should, once each
# The event itself, changed in place; whole milliseconds by adding a half and cutting off.
def carts_and_purchases(event):
    if event["eventType"] != "purchase" and event["eventType"] != "add_to_cart":
        return None
    milliseconds = int(event["duration"] * 1000 + 0.5)
    for name in set(event) - {"userId", "eventType"}:
        del event[name]
    event.update(milliseconds=milliseconds)
    return event
