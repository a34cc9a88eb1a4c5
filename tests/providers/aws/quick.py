"""How adapters are asked in tests: few regions, and no patience with faults."""

from providers.aws.session import Limits

TWO = ("us-east-1", "us-west-2")
QUICK = Limits(attempts=2, connect_s=2, read_s=10, scope_s=60)
