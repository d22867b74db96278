from flink_jobs import columns

TABLE = """
  `userId` STRING,
  `amount` DOUBLE,
  `count` BIGINT,
  `number` INT,
  `matched` BOOLEAN,
  `eventIds` ARRAY<STRING>
"""


def test_a_row_has_the_columns_of_its_table() -> None:
    assert columns.names(TABLE) == ["userId", "amount", "count", "number", "matched", "eventIds"]
    kind = columns.row_type(TABLE)
    assert kind.get_field_names() == columns.names(TABLE)
    names = [str(each) for each in kind.get_field_types()]
    assert names == ["String", "Double", "Long", "Integer", "Boolean", "ObjectArrayTypeInfo<String>"]


def test_the_columns_of_a_part_are_named_with_it() -> None:
    assert columns.of_part("alert", "`key` STRING,\n`sentAt` BIGINT") == "  `alert`.`key`,\n  `alert`.`sentAt`"
