"""Dated rules of the programme with their sources, what a rule answers, and the calendar. Knows no Django."""

from quitledger.policy.problem import Problem, Refused
from quitledger.policy.reader import (
    DatedValue,
    Effect,
    Parameter,
    PolicyFileError,
    PolicyGap,
    SelectingDay,
    UnknownPolicy,
    WhenBroken,
    load,
    parameter,
    parameters,
    policy_on,
)
from quitledger.policy.roc_dates import (
    TAIPEI,
    DateError,
    format_roc,
    format_roc_month,
    format_roc_weekday,
    parse_date,
    parse_moment,
    parse_month,
    parse_time,
)

__all__ = [
    "TAIPEI",
    "DateError",
    "DatedValue",
    "Effect",
    "Parameter",
    "PolicyFileError",
    "PolicyGap",
    "Problem",
    "Refused",
    "SelectingDay",
    "UnknownPolicy",
    "WhenBroken",
    "format_roc",
    "format_roc_month",
    "format_roc_weekday",
    "load",
    "parameter",
    "parameters",
    "parse_date",
    "parse_moment",
    "parse_month",
    "parse_time",
    "policy_on",
]
