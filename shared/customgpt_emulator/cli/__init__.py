"""The command line, `customgpt-emulator`; needs the extra `emulator`."""
