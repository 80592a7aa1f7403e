"""What relaxations answer when other parts ask: every one of the table, question by question."""

from mixop.relax import ALL

QUESTIONS = (
    "params_on_simplex",
    "mix_on_simplex",
    "independent_decisions",
    "parameter_per_option",
    "differentiable_mean",
    "twice_differentiable",
)


def those(question: str, *, answer: bool) -> set[str]:
    return {name for name, relaxation in ALL.items() if getattr(relaxation(), question) is answer}


def test_every_relaxation_answers_every_question():
    """By the mathematics of each: which of them a question separates from all others."""
    assert those("params_on_simplex", answer=True) == {"simplex", "gumbel_simplex"}
    assert those("mix_on_simplex", answer=False) == {"hard_concrete", "switches"}
    assert those("independent_decisions", answer=False) == {"lstm_policy"}
    assert those("parameter_per_option", answer=False) == {"lstm_policy", "nested_gates"}
    assert those("differentiable_mean", answer=False) == {"uniform", "lstm_policy"}
    assert those("twice_differentiable", answer=False) == {"dirichlet"}
    for question in QUESTIONS:
        assert those(question, answer=True) | those(question, answer=False) == set(ALL)
