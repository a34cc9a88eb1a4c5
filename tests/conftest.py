"""What holds for every test."""

from hypothesis import HealthCheck, settings

# How long a drawn example takes says more about the machine's load than about the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
