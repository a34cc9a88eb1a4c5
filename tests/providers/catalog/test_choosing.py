from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from providers.catalog.choosing import choose, doubts
from providers.catalog.offers import Source
from providers.catalog.origins import SOURCES
from providers.catalog.quotes import Quote


def quote(usd: str, source: str = "libcloud-aws", **changes: str) -> Quote:
    values = {
        "provider": "aws",
        "region": "us-east-1",
        "machine_type": "x9.small",
        "purchase": "on_demand",
    }
    return Quote(**(values | changes), usd=usd, source=source)


def test_the_newest_source_wins_and_the_other_figure_is_reported() -> None:
    chosen, conflicts = choose([quote("98.32"), quote("55.04", "karpenter-aws")])
    assert [(each.usd, each.source) for each in chosen] == [("55.04", "karpenter-aws")]
    assert [each.other.usd for each in conflicts] == ["98.32"]
    assert round(conflicts[0].difference, 3) == Decimal("0.786")


def test_a_difference_within_one_percent_is_no_conflict() -> None:
    assert choose([quote("1.01"), quote("1.00", "karpenter-aws")])[1] == ()
    assert len(choose([quote("1.011"), quote("1.00", "karpenter-aws")])[1]) == 1


def test_a_lower_figure_is_a_conflict_too() -> None:
    assert len(choose([quote("0.5"), quote("1.00", "karpenter-aws")])[1]) == 1


@given(st.permutations(SOURCES), st.lists(st.decimals("0.01", "9", places=2), min_size=8))
def test_the_order_of_reading_changes_nothing(order: list[Source], dollars: list[Decimal]) -> None:
    quotes = [quote(str(usd), source.id) for source, usd in zip(SOURCES, dollars, strict=False)]
    shuffled = [quotes[SOURCES.index(source)] for source in order]
    chosen, conflicts = choose(shuffled)
    expected, expected_conflicts = choose(quotes)
    assert chosen == expected
    assert set(conflicts) == set(expected_conflicts)
    newest = max(source.as_of or "" for source in SOURCES)
    assert next(each.as_of for each in SOURCES if each.id == chosen[0].source) == newest


BASE = (quote("1.00", "karpenter-aws"), quote("2.00", "karpenter-aws", machine_type="x9.large"))


def doubted(*quotes: Quote) -> dict[str, str]:
    chosen, conflicts = choose((*BASE, *quotes))
    return {key[2]: code for key, code in doubts(chosen, conflicts).items()}


def test_a_size_above_its_siblings_is_probably_dedicated_tenancy() -> None:
    europe = (
        quote("1.20", region="eu-west-1"),
        quote("2.64", region="eu-west-1", machine_type="x9.large"),
    )
    assert doubted(*europe) == {"x9.large": "dedicated"}


def test_siblings_that_agree_but_for_rounding_raise_no_doubt() -> None:
    europe = (
        quote("1.20", region="eu-west-1"),
        quote("2.42", region="eu-west-1", machine_type="x9.large"),
    )
    assert doubted(*europe) == {}


def test_a_price_that_moved_elsewhere_is_probably_out_of_date() -> None:
    assert doubted(quote("1.50"), quote("1.80", region="eu-west-1")) == {"x9.small": "changed"}


def test_the_surcharge_of_dedicated_tenancy_is_no_change_of_price() -> None:
    assert doubted(quote("1.10"), quote("1.20", region="eu-west-1")) == {}
