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
from quitledger.policy.roc_dates import DateError, parse_date, parse_moment, parse_month, parse_time
from quitledger.policy.roc_formats import (
    TAIPEI,
    format_closing,
    format_roc,
    format_roc_month,
    format_roc_weekday,
    format_roc_year,
)
from quitledger.policy.sentences import Month, Sentence, Several, Words, Year

__all__ = [
    "TAIPEI",
    "DateError",
    "DatedValue",
    "Effect",
    "Month",
    "Parameter",
    "PolicyFileError",
    "PolicyGap",
    "Problem",
    "Refused",
    "SelectingDay",
    "Sentence",
    "Several",
    "UnknownPolicy",
    "WhenBroken",
    "Words",
    "Year",
    "format_closing",
    "format_roc",
    "format_roc_month",
    "format_roc_weekday",
    "format_roc_year",
    "load",
    "parameter",
    "parameters",
    "parse_date",
    "parse_moment",
    "parse_month",
    "parse_time",
    "policy_on",
]
