"""The command `customgpt-emulator`. It needs the extra `emulator`."""
