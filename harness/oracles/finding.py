"""How a judgement becomes a result."""

from __future__ import annotations

from harness.facts.judgement import Judgement
from harness.results import InvariantResult, Verdict

__all__ = ["result_of"]


def result_of(name: str, judgement: Judgement, *, undecided: str = "") -> InvariantResult:
    """Fail on any breach; inconclusive, and not exercised, when nothing was judged.

    `undecided` says what could not be judged although it was there to be: inconclusive, and it
    counts.
    """
    evidence = list(judgement.evidence)
    unshown = judgement.breaches - len(evidence)
    if unshown > 0:
        evidence.append(f"and {unshown} more")
    if judgement.breaches:
        return InvariantResult(name, Verdict.FAIL, tuple(evidence), judgement.judged)
    if undecided:
        return InvariantResult(name, Verdict.INCONCLUSIVE, (undecided,), judgement.judged)
    if judgement.judged == 0:
        return InvariantResult(name, Verdict.INCONCLUSIVE, ("nothing to judge",), exercised=False)
    return InvariantResult(name, Verdict.PASS, (), judgement.judged)
