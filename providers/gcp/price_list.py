"""List prices from Google's own catalogue: machines are composed of its SKUs, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from policies.facts import Gap, Scope
from providers.base import Seen
from providers.catalog import offers
from providers.errors import AnswerCut
from providers.gcp.errors import GCP_ERRORS, gap_from
from providers.gcp.instance_types import vcpus_of
from providers.gcp.prices import COVERED_BY_LIST, LINUX, shape_of
from providers.gcp.session import GcpSession
from providers.machine_prices import HOURS_A_MONTH
from providers.price_facts import ListPrice, PriceQuestion, Progress

COMPUTE = "services/6F81-5844-456A"
SOURCE = "Google Cloud Billing Catalog"
NEEDS = "cloudbilling.services.list (the Cloud Billing API)"
PAGE = 5000
PAGES_AT_MOST = 60
NOT_PLAIN = (
    *("Sole Tenancy", "Reserved", "Commitment", "Premium", "Custom", "suspended", "DWS"),
    *("Calendar Mode", "Spot Preemptible", "Preemptible", "Flex Start", "Reservation"),
)
"""Words in the description of a SKU that is bought in another way than plainly on demand."""
CURRENCY = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a machine type of a family is billed as."""

    family: str
    """How the SKUs of its cores and memory begin: `A2`."""
    gpu: str | None
    """How the SKU of one of its GPUs begins; None: it has none of its own."""
    gib: Decimal
    """Memory of a machine: by core, or by GPU."""
    by_gpu: bool = False


RECIPES: Mapping[str, Recipe] = {
    "a2-highgpu": Recipe(
        family="A2 Instance", gpu="Nvidia Tesla A100 GPU", gib=Decimal(85), by_gpu=True
    ),
    "a2-megagpu": Recipe(
        family="A2 Instance", gpu="Nvidia Tesla A100 GPU", gib=Decimal(85), by_gpu=True
    ),
    "a2-ultragpu": Recipe(
        family="A2 Instance", gpu="Nvidia Tesla A100 80GB GPU", gib=Decimal(170), by_gpu=True
    ),
    "a3-highgpu": Recipe(
        family="A3 Instance", gpu="Nvidia H100 80GB GPU", gib=Decimal(234), by_gpu=True
    ),
    "a3-megagpu": Recipe(
        family="A3Plus Instance", gpu="Nvidia H100 80GB Mega GPU", gib=Decimal(234), by_gpu=True
    ),
    "g2-standard": Recipe(family="G2 Instance", gpu="Nvidia L4 GPU", gib=Decimal(4)),
    "g4-standard": Recipe(family="G4 Instance", gpu="RTX 6000 96GB", gib=Decimal("3.75")),
}
"""By the beginning of the type. Names of SKUs: gpuhunt, and Google's pages on its machine families,
2026-10. A family that is not here is not composed, and so not guessed."""
LOCAL_SSD = "SSD backed Local Storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sku:
    """One plain SKU in one region."""

    description: str
    hourly_usd: Decimal
    as_of: str | None


def read_prices(
    session: GcpSession, wanted: Sequence[PriceQuestion], progress: Progress
) -> Seen[ListPrice]:
    """The whole catalogue of Compute once, a dozen pages, whatever is asked for."""
    if not wanted:
        return Seen()
    progress("gcp: reading the price catalogue")
    try:
        skus = fetch_skus(session, {each.region for each in wanted})
    except GCP_ERRORS as error:
        scope = Scope(provider="gcp", account=None, region=None)
        return Seen(gaps=(gap_from(error, scope, "prices", NEEDS),))
    prices: list[ListPrice] = []
    gaps: list[Gap] = []
    for each in wanted:
        found = price_from(each, skus.get(each.region, ()))
        if isinstance(found, ListPrice):
            prices.append(found)
        else:
            gaps.append(Gap(provider="gcp", region=each.region, what="prices", why=found))
    return Seen(values=tuple(prices), gaps=tuple(dict.fromkeys(gaps)))


def fetch_skus(session: GcpSession, regions: set[str]) -> dict[str, list[Sku]]:
    """Plain SKUs of cores, memory, GPUs and local SSD by region. Raises one of `GCP_ERRORS`."""
    from google.cloud.billing_v1 import ListSkusRequest  # noqa: PLC0415 - as in the session

    request = ListSkusRequest(parent=COMPUTE, page_size=PAGE, currency_code=CURRENCY)
    pager = session.catalogue().list_skus(
        request=request, retry=session.retry, timeout=session.timeout
    )
    found: dict[str, list[Sku]] = {}
    before = None
    for number, page in enumerate(pager.pages):
        for raw in type(page).pb(page).skus:
            sku = sku_from(raw)
            if sku is None:
                continue
            for region in regions.intersection(raw.service_regions):
                found.setdefault(region, []).append(sku)
        token = page.next_page_token
        if token and (token == before or number + 1 >= PAGES_AT_MOST):
            raise AnswerCut("its pages do not end")
        before = token
    return found


def sku_from(raw: Any) -> Sku | None:
    """None for one that is bought in another way, or that has no price in dollars."""
    if raw.category.usage_type != "OnDemand" or not raw.pricing_info:
        return None
    if any(word in raw.description for word in NOT_PLAIN):
        return None
    told = raw.pricing_info[-1]
    expression = told.pricing_expression
    rates = [rate.unit_price for rate in expression.tiered_rates]
    if not rates or any(rate.currency_code != CURRENCY for rate in rates):
        return None
    usd = max(Decimal(rate.units) + Decimal(rate.nanos).scaleb(-9) for rate in rates)
    if not usd:
        return None
    monthly = expression.usage_unit.endswith(".mo")
    effective = told.effective_time
    return Sku(
        description=raw.description,
        hourly_usd=usd / HOURS_A_MONTH if monthly else usd,
        as_of=f"{effective.ToDatetime():%Y-%m-%d}" if effective.seconds else None,
    )


def price_from(asked: PriceQuestion, skus: Iterable[Sku]) -> ListPrice | str:
    """The type's price, or why there is none."""
    if asked.operating_system != LINUX:
        return f"{asked.operating_system} is billed by licences besides the machine: not composed"
    parts = _parts(asked.machine_type)
    if parts is None:
        return f"how {asked.machine_type} is composed of SKUs is not known"
    total = Decimal(0)
    dates = []
    listed = list(skus)
    for beginning, quantity in parts:
        matching = [sku for sku in listed if _is_of(sku, beginning)]
        amounts = {sku.hourly_usd for sku in matching}
        if len(amounts) != 1:
            many = "no SKU" if not amounts else f"{len(amounts)} prices"
            return f"{many} of {beginning!r} in {asked.region}, for {asked.machine_type}"
        total += amounts.pop() * quantity
        dates += [sku.as_of for sku in matching if sku.as_of]
    return ListPrice(
        provider="gcp",
        region=asked.region,
        machine_type=asked.machine_type,
        operating_system=asked.operating_system,
        component=None,
        hourly_usd=total,
        source=SOURCE,
        as_of=max(dates, default=None),
        why=COVERED_BY_LIST,
    )


def _is_of(sku: Sku, beginning: str) -> bool:
    """`A2 Instance Core running in Americas` begins so; `A2 Instance Core Extended` does not."""
    rest = sku.description.removeprefix(beginning)
    return rest != sku.description and (not rest or rest.startswith((" running in", " in ")))


def _parts(machine_type: str) -> list[tuple[str, Decimal]] | None:
    """What is billed, by the beginning of its SKU, and how much of it."""
    shape = shape_of(machine_type)
    if shape is not None and "custom" not in machine_type:
        cores, gib = shape
        name = "N1 Predefined Instance"
        return [(f"{name} Core", Decimal(cores)), (f"{name} Ram", gib)]
    recipe = RECIPES.get("-".join(machine_type.split("-")[:2]))
    accelerators = offers.accelerators("gcp", machine_type)
    cores = offers.vcpus("gcp", machine_type) or vcpus_of(machine_type) or 0
    if recipe is None or not accelerators or not cores:
        return None
    gpus = Decimal(str(accelerators[0].count))
    parts = [
        (f"{recipe.family} Core", Decimal(cores)),
        (f"{recipe.family} Ram", recipe.gib * (gpus if recipe.by_gpu else cores)),
    ]
    if recipe.gpu is not None:
        parts.append((recipe.gpu, gpus))
    ssd = offers.local_disk_gib("gcp", machine_type)
    if ssd:
        parts.append((LOCAL_SSD, Decimal(str(ssd))))
    return parts
