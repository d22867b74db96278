from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_lib.generators import SensorReadings
from kernel_lib.generators.sensor_readings import KINDS
from kernel_lib.generators.streams import Batch
from kernel_lib.knob_log import KnobLog, Knobs

ANCHOR_MS = 1_790_000_000_000
NOISE = [kind.noise for kind in KINDS.values()]


def made(count: int, seed: int = 3, rate: float = 100, **knobs: float) -> tuple[SensorReadings, Batch]:
    stream = SensorReadings(seed)
    return stream, stream.batch(0, count, KnobLog([Knobs(0, ANCHOR_MS, rate, **knobs)]))  # type: ignore[arg-type]


def episodes(stream: SensorReadings, batch: Batch) -> dict[tuple[str, int], list[int]]:
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for at in np.flatnonzero(batch.truth).tolist():
        found[stream.truths[int(batch.truth[at])], int(batch.episode[at])].append(at)
    return found


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000_000), share=st.floats(0.01, 0.2))
def test_every_planted_anomaly_is_really_in_the_stream(seed: int, share: float) -> None:
    stream, batch = made(8_000, seed, keys=50, anomaly_share=share)
    _, usual = made(8_000, seed, keys=50)
    off = batch.columns["value"] - usual.columns["value"]
    for (kind, _), at in episodes(stream, batch).items():
        assert len(set(batch.key[at].tolist())) == 1
        noise = NOISE[int(batch.type[at[0]])]
        match kind:
            case "spike":
                assert abs(off[at[0]]) > 10 * noise
            case "stuck":
                assert len(set(batch.columns["value"][at].tolist())) == 1
            case "drift" if len(at) == 16:
                assert np.all(np.diff(np.abs(off[at])) > 0)
                assert abs(off[at[-1]]) > 20 * noise
            case "dropout":
                assert batch.withheld[at].all()
    assert np.allclose(off[batch.truth == 0], 0)


def test_every_kind_of_anomaly_is_planted_with_the_share_that_was_asked_for() -> None:
    stream, batch = made(100_000, anomaly_share=0.05)
    assert {kind for kind, _ in episodes(stream, batch)} == set(stream.truths[1:])
    assert abs(np.mean(batch.truth > 0) - 0.05) < 0.01


def test_every_device_reports_once_a_round() -> None:
    _, batch = made(400)
    assert sorted(batch.key[:200].tolist()) == list(range(200))
    assert batch.key[:200].tolist() == batch.key[200:].tolist()


def test_noise_is_that_of_the_type_of_device() -> None:
    _, batch = made(20_000, keys=100)
    values = batch.columns["value"].reshape(-1, 100)
    changes = np.diff(values, axis=0).std(axis=0) / np.sqrt(2)
    kinds = batch.type[:100]
    assert np.allclose(changes, np.array(NOISE)[kinds], rtol=0.25)


def test_values_follow_the_day_and_batteries_decline() -> None:
    _, batch = made(48 * 40, rate=40 * 2 / 3600, keys=40)  # two readings an hour, for a day
    values, battery = (batch.columns[name].reshape(-1, 40) for name in ("value", "battery"))
    rhythm = np.array([kind.rhythm for kind in KINDS.values()])[batch.type[:40]]
    assert np.all(np.ptp(values, axis=0) > 1.5 * rhythm)
    falls = np.diff(battery, axis=0)
    assert np.all((falls <= 0) | (falls > 90))
    assert abs(np.median(battery[0] - battery[-1]) - 100 / 14) < 1


def test_a_device_keeps_its_place_and_type() -> None:
    stream, batch = made(600)
    fields = stream.fields(batch)
    known = defaultdict(set)
    for device, kind, unit, place in zip(
        *(fields[name] for name in ("sensorId", "deviceType", "unit", "location")), strict=True
    ):
        known[device].add((kind, unit, *place.values()))
    assert all(len(found) == 1 for found in known.values())
