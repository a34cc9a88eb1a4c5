"""What a policy would have done in the time that was only observed."""
