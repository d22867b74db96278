from infra import provision


def spread(name: str) -> int:
    """Return the hash by which Java's HashMap puts a name into its buckets."""
    code = 0
    for letter in name:
        code = (31 * code + ord(letter)) % 2**32
    return code ^ code >> 16


def test_no_user_of_kafka_comes_before_the_one_that_stays() -> None:
    assert spread("hello") == 99162322 ^ 99162322 >> 16  # as Java says
    assert spread(provision.FIRST_USER) % 2**20 == 0  # it is in the first bucket of tables of up to a million users
