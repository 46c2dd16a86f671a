"""The shapes on the wire: the only place with paths and JSON keys, one file a resource. No I/O, no clock."""
