"""Own the partition of a key, as Kafka's Java clients and the course's producers choose it.

>>> partition_of(b"user-00001", 6)
3
"""

from __future__ import annotations

_SEED, _M, _R, _MASK = 0x9747B28C, 0x5BD1E995, 24, 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among `partitions` (BuiltInPartitioner.partitionForKey of Kafka's Java client)."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return the 32-bit murmur2 hash (org.apache.kafka.common.utils.Utils.murmur2)."""
    hashed = (_SEED ^ len(data)) & _MASK
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        word = (int.from_bytes(data[at : at + 4], "little") * _M) & _MASK
        word = ((word ^ (word >> _R)) * _M) & _MASK
        hashed = ((hashed * _M) & _MASK) ^ word
    if whole < len(data):
        hashed = ((hashed ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    hashed = ((hashed ^ (hashed >> 13)) * _M) & _MASK
    return hashed ^ (hashed >> 15)
