"""How the watchdog speaks: console, Slack, webhook."""
