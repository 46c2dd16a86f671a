"""The command `customgpt`: ask, chat, look after agents, check a set-up, and find out what a service does."""
