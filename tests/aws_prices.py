"""What AWS answers of prices and commitments, which moto has not: in the shape of its own models.

EC2's answers are written by the SDK's own description of them, so a misspelt field is an error.
Products of the price list follow "Reading the price list files for a service" of AWS Billing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import botocore.session

from tests.moto_aws import AwsServer

Raw = Mapping[str, Any]


def commits(
    aws: AwsServer,
    *,
    reservations: Sequence[Raw] = (),
    reserved: Sequence[Raw] = (),
    plans: Sequence[Raw] = (),
    region: str | None = None,
) -> None:
    """The account has these commitments, and no other. `region` None: in every region alike."""
    told = {"CapacityReservations": reservations}
    aws.answer(
        "ec2:DescribeCapacityReservations",
        ec2_xml("DescribeCapacityReservations", told),
        region=region,
    )
    aws.answer(
        "ec2:DescribeReservedInstances",
        ec2_xml("DescribeReservedInstances", {"ReservedInstances": reserved}),
        region=region,
    )
    aws.answer("savingsplans:DescribeSavingsPlans", json.dumps({"savingsPlans": plans}))


def reservation(**changes: Any) -> Raw:
    """Two H100 machines, reserved for good."""
    return {
        "CapacityReservationId": "cr-1",
        "OwnerId": "123456789012",
        "InstanceType": "p5.48xlarge",
        "InstancePlatform": "Linux/UNIX",
        "AvailabilityZone": "us-east-1a",
        "Tenancy": "default",
        "TotalInstanceCount": 2,
        "AvailableInstanceCount": 1,
        "State": "active",
        "EndDateType": "unlimited",
        "ReservationType": "default",
        **changes,
    }


def reserved(**changes: Any) -> Raw:
    """One A10G machine, reserved in its region until 2027."""
    return {
        "ReservedInstancesId": "ri-1",
        "InstanceType": "g5.xlarge",
        "InstanceCount": 1,
        "InstanceTenancy": "default",
        "ProductDescription": "Linux/UNIX",
        "Scope": "Region",
        "State": "active",
        "OfferingClass": "standard",
        "OfferingType": "All Upfront",
        "End": "2027-06-01T00:00:00.000Z",
        **changes,
    }


def plan(**changes: Any) -> Raw:
    """Ten dollars an hour for whatever computes."""
    return {
        "savingsPlanId": "sp-1",
        "savingsPlanType": "Compute",
        "state": "active",
        "currency": "USD",
        "commitment": "10.0",
        "start": "2026-01-01T00:00:00.000Z",
        "end": "2029-01-01T00:00:00.000Z",
        "productTypes": ["EC2", "Fargate", "Lambda"],
        **changes,
    }


def spot_history(aws: AwsServer, prices: Iterable[Raw], region: str | None = None) -> None:
    """EC2 tells these spot prices, whatever it is asked."""
    told = ec2_xml("DescribeSpotPriceHistory", {"SpotPriceHistory": list(prices)})
    aws.answer("ec2:DescribeSpotPriceHistory", told, region=region)


def spot(at: datetime, usd: str, zone: str = "us-east-1a", **changes: Any) -> Raw:
    return {
        "AvailabilityZone": zone,
        "InstanceType": "g5.xlarge",
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": usd,
        "Timestamp": f"{at:%Y-%m-%dT%H:%M:%S.000Z}",
        **changes,
    }


def product(usd: str | None = "1.006", *, published: str = "2026-11-20", **changes: Any) -> Raw:
    """An EC2 product and its price on demand; `changes` are of its attributes."""
    attributes = {
        "servicecode": "AmazonEC2",
        "regionCode": "us-east-1",
        "instanceType": "g5.xlarge",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "preInstalledSw": "NA",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "licenseModel": "No License required",
        "gpu": "1",
        **changes,
    }
    sku = "".join(f"{ord(letter):x}" for letter in str(sorted(attributes.items()))[-8:]).upper()
    price = {} if usd is None else {"USD": f"{Decimal(usd):.10f}"}
    dimension = {
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "description": "per hour",
        "rateCode": f"{sku}.JRTCKXETXF.6YS6EN2CT7",
        "appliesTo": [],
        "pricePerUnit": price or {"CNY": "9.0"},
    }
    term = {
        "sku": sku,
        "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
        "priceDimensions": {dimension["rateCode"]: dimension},
    }
    return {
        "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
        "serviceCode": attributes["servicecode"],
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
        "version": "20261120",
        "publicationDate": f"{published}T12:00:00Z",
    }


def ec2_xml(operation: str, answer: Raw) -> str:
    """An answer of EC2 as it travels."""
    shape = _ec2().operation_model(operation).output_shape
    return f"<{operation}Response>{_members(shape, answer)}</{operation}Response>"


@cache
def _ec2() -> Any:
    return botocore.session.get_session().get_service_model("ec2")


def _members(shape: Any, values: Raw) -> str:
    unknown = set(values) - set(shape.members)
    assert not unknown, f"{shape.name} has no {unknown}"
    return "".join(
        f"<{name}>{_text(shape.members[key], value)}</{name}>"
        for key, value in values.items()
        for name in (shape.members[key].serialization.get("name", key),)
    )


def _text(shape: Any, value: Any) -> str:
    if shape.type_name == "list":
        return "".join(f"<item>{_text(shape.member, each)}</item>" for each in value)
    if shape.type_name == "structure":
        return _members(shape, value)
    return escape(str(value))
