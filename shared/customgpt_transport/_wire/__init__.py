"""The shapes on the wire: the only place that knows paths and JSON keys, one file per resource. No I/O, no clock."""
