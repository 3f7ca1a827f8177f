"""A metric of a history, in one word each."""

from __future__ import annotations

from harness.facts import fold
from harness.metrics import SEED_TARGETS, TALLIES, metric_result


def tally(story, name):
    return TALLIES[name](fold(story.events))


def result(story, name):
    return metric_result(tally(story, name), SEED_TARGETS[name])


def counted(story, name):
    found = tally(story, name)
    return found.hits, found.n
