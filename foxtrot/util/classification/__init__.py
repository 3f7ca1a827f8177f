"""Any foreign exception or venue code -> one FoxtrotError.

`classify` takes an exception, `classify_code` a bare code. A type is found through its MRO by
name, so that no client library need be installed; then come the venue's code, the HTTP status,
the WebSocket close code, the errno, the causes, and the text last. What nothing tells is SYSTEM,
not recoverable, and marked `classified_by="default"` in the context.

The context of every result holds `classified_by` (`type`, `code`, `status`, `errno`, `cause`,
`text` or `default`) and `retry_policy` (the name of the entry's policy), and what is known of
`adapter`, `operation`, `cause_type` and `code`. A table of one's own: `Classifier().with_table`.
"""

from __future__ import annotations

from foxtrot.util.classification._classifier import Classifier, classify, classify_code
from foxtrot.util.classification._entry import Entry, Rule, Strength, Table

__all__ = ["Classifier", "Entry", "Rule", "Strength", "Table", "classify", "classify_code"]
