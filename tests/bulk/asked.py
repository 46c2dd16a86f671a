"""What the tests ask, for themselves and for the processes that they start: quick to import."""

from __future__ import annotations

from customgpt_transport import ClientOptions, RetryPolicy


def questions(count: int) -> list[dict[str, str]]:
    """Rows that the emulator answers, all different."""
    topics = (
        "How do refunds work",
        "What do gift cards cost",
        "How long is shipping",
        "Which lamps are there",
    )
    return [{"id": f"q{n}", "question": f"{topics[n % 4]}, in case {n}?"} for n in range(count)]


def patient(base_url: str, api_key: str, project_id: str | int, patience: float = 1.0) -> ClientOptions:
    """Options that wait long enough for an answer under way, and not much longer."""
    return ClientOptions(
        api_key=api_key,
        base_url=base_url,
        project_id=int(project_id),
        recovery_patience=patience,
        retry=RetryPolicy(backoff_base=0.001),
    )
