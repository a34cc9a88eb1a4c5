"""Settings that lie in Parameter Store or in Secrets Manager."""

from __future__ import annotations

from typing import Any

import boto3

from providers.aws.errors import AWS_ERRORS

PARAMETER, SECRET = "ssm:", "secretsmanager:"


class SecretError(Exception):
    """A value cannot be read from where the settings say that it lies."""

    exit_code = 2


def read_secret(place: str, session: boto3.Session | None = None) -> str:
    """The text at `ssm:NAME` or `secretsmanager:NAME-OR-ARN`. Raises `SecretError`."""
    made: Any = session or boto3.Session()
    try:
        if place.startswith(PARAMETER):
            name = place.removeprefix(PARAMETER)
            answer = made.client("ssm").get_parameter(Name=name, WithDecryption=True)
            return str(answer["Parameter"]["Value"])
        if place.startswith(SECRET):
            name = place.removeprefix(SECRET)
            answer = made.client("secretsmanager").get_secret_value(SecretId=name)
            return str(answer["SecretString"])
    except AWS_ERRORS as error:
        raise SecretError(f"{place} cannot be read: {error}") from error
    except KeyError:
        raise SecretError(f"{place} holds no text") from None
    raise SecretError(f"{place!r}: name {PARAMETER}NAME or {SECRET}NAME")
