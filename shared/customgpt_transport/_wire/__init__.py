"""The shapes on the wire: the only place with paths and JSON keys, one file per resource. No I/O, no clock."""
