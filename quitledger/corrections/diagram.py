"""The states of an application as a page of the documentation: `python -m quitledger.corrections.diagram`."""

from quitledger.corrections.rules import STATES, TRANSITIONS, State


def page() -> str:
    """A diagram of every way between the states, and whose turn it is in each, as Markdown."""
    lines = [
        "# 更正申請的狀態",
        "",
        "由 `quitledger/corrections/rules.py` 產生（`python -m quitledger.corrections.diagram`），測試會比對。",
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f'  state "{standing.label}" as {state}' for state, standing in STATES.items()),
        *(
            f"  {before or '[*]'} --> {after}: {step.label}"
            for step, way in TRANSITIONS.items()
            for before in way.from_states
            for after in way.to_states
        ),
        *(f"  {state} --> [*]" for state in State if not any(state in way.from_states for way in TRANSITIONS.values())),
        "```",
        "",
        "| 狀態 | 輪到 | 可以做的事 |",
        "|---|---|---|",
        *(
            f"| {standing.label} | {standing.owner.label} | "
            + ("、".join(str(step.label) for step, way in TRANSITIONS.items() if state in way.from_states) or "—")
            + " |"
            for state, standing in STATES.items()
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
