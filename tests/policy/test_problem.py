"""What a rule answers, and what carries it out of a write."""

from quitledger.policy import Problem, Refused


def test_a_refusal_carries_every_problem_and_shows_their_codes_only():
    problems = [
        Problem("chart-no-taken", "示範甲 已使用這個病歷號。", "chart_no"),
        Problem("sex-missing", "請選擇性別。"),
    ]
    refused = Refused(problems)
    assert refused.problems == problems
    assert str(refused) == "chart-no-taken; sex-missing"
