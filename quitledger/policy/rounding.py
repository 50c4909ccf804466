"""Numbers as the tables of the programme print them."""

from decimal import ROUND_HALF_UP, Decimal


def rounded(value: Decimal, decimals: int) -> Decimal:
    """`value` with so many decimals, rounded half up, as the printed tables are (the reference, tables 1 to 3)."""
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
