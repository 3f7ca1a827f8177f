"""Numbers for a dashboard, from the records of the core: one listener for each library.

`foxtrot.telemetry.prometheus` needs the extra `prometheus`, `foxtrot.telemetry.opentelemetry` the
extra `opentelemetry`. Both offer the instruments that `foxtrot.telemetry._instruments` names.
"""
