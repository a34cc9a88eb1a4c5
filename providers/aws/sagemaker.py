"""What SageMaker runs in each region: listed by the hundred, described only where that is needed.

A region without anything costs five calls. What was described once is described again only when the
listing says that it has changed; an endpoint that carries accelerators always, for its number of
instances moves with its load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import EndpointConnectionError

from policies.facts import Gap, Machine, Scope, utc
from providers.aws import sagemaker_machines as facts_of
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.instance_types import TypeFacts, fetch_types
from providers.aws.inventory import InventoryReader, unknown_types
from providers.aws.prices import NOTHING_MANAGED, ManagedPrices
from providers.aws.sagemaker_machines import Rented, machines_from
from providers.aws.session import AwsSession
from providers.aws.troubles import Trouble, gaps_of
from providers.base import Seen
from providers.errors import AnswerCut

T = TypeVar("T")
Raw = Mapping[str, Any]

SAGEMAKER = "SageMaker"
PAGE = 100
PAGES_AT_MOST = 50
DETAILS_AT_MOST = 300
"""Descriptions of jobs, of each kind, in one region and pass."""
ARNS_PER_CALL = 100
RECENT = timedelta(hours=2)
"""For so long a job that has ended is still shown: time enough for a patrol to see its end. EC2
shows a terminated machine for about an hour."""
LONGEST_TRAINING = timedelta(days=35)
"""A training job runs for 28 days at most, and may have waited for its instances before."""
LONGEST_PROCESSING = timedelta(days=10)
"""A processing job runs for 777,600 s at most (SageMaker API reference), nine days."""
IN_PROGRESS = frozenset({"InProgress", "Stopping"})
LISTS_JOBS = {"MaxResults": PAGE, "SortBy": "CreationTime", "SortOrder": "Descending"}
"""No status is asked for: SageMaker takes a page first and drops the others from it afterwards."""


@dataclass(slots=True)
class SageMakerReader:
    """Looks where the machines' listing found a region whole."""

    session: AwsSession
    inventory: InventoryReader
    clock: Callable[[], datetime]
    listed: ManagedPrices = field(default_factory=lambda: NOTHING_MANAGED)
    """Prices that AWS told, for machines seen from now on."""
    _known: dict[str, dict[object, Raw]] = field(default_factory=dict)
    """By region, what was described in the last pass."""

    def joined(self, seen: Seen[Machine]) -> Seen[Machine]:
        """The same, with what SageMaker runs. What it hides is a gap and hides nothing of EC2."""
        scopes = {scope.region: scope for scope in seen.scopes if scope.region is not None}
        answers = self.session.side_by_side(
            sorted(scopes), lambda region: self._look(scopes[region])
        )
        machines, gaps = list(seen.values), list(seen.gaps)
        for region, answer in answers.items():
            if isinstance(answer, _Look):
                machines += answer.machines
                gaps += answer.gaps()
            else:
                needs = "sagemaker:ListTrainingJobs"
                gaps.append(gap_from(answer, scopes[region], SAGEMAKER, needs))
        return replace(seen, values=tuple(machines), gaps=tuple(gaps))

    def _look(self, scope: Scope) -> _Look:
        region = str(scope.region)
        look = _Look(
            session=self.session,
            inventory=self.inventory,
            scope=scope,
            now=self.clock(),
            known=self._known.get(region, {}),
            listed=self.listed,
        )
        look.at_everything()
        self._known[region] = look.described
        return look


@dataclass(slots=True, kw_only=True)
class _Look:
    """One look at one region. Its parts fail one by one."""

    session: AwsSession
    inventory: InventoryReader
    scope: Scope
    now: datetime
    known: Mapping[object, Raw]
    listed: ManagedPrices
    described: dict[object, Raw] = field(default_factory=dict)
    machines: list[Machine] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    other_gaps: list[Gap] = field(default_factory=list)

    @property
    def region(self) -> str:
        return str(self.scope.region)

    @property
    def sagemaker(self) -> Any:
        return self.session.client("sagemaker", self.region)

    def gaps(self) -> list[Gap]:
        """A region that SageMaker does not serve has nothing to hide."""
        told = [each for each in self.troubles if not self._no_such_endpoint(each.error)]
        return [*gaps_of(told, self.scope, SAGEMAKER), *self.other_gaps]

    def at_everything(self) -> None:
        parts: list[Callable[[], list[Rented]]] = [
            self._notebooks,
            self._apps,
            self._training,
            self._processing,
            self._endpoints,
        ]
        found = [each for part in self.session.within_region(parts) for each in part]
        carrying = list(self._carrying(found))
        tags, owners = self._surroundings([rented for rented, _ in carrying])
        for rented, facts in carrying:
            owned = replace(rented, owner=rented.owner or owners.get(_space(rented)))
            around = (*rented.arns_around, rented.arn)
            told = {key: value for arn in around for key, value in tags.get(arn, {}).items()}
            self.machines += machines_from(
                owned,
                facts,
                told,
                account=self.scope.account or "unknown",
                region=self.region,
                listed=self.listed,
            )
        self.machines.sort(key=lambda machine: machine.id)

    def _notebooks(self) -> list[Rented]:
        ask = self.sagemaker.list_notebook_instances
        listed = self._listed(ask, "NotebookInstances", "notebooks", MaxResults=PAGE)
        return [facts_of.notebook(raw) for raw in listed]

    def _apps(self) -> list[Rented]:
        """Where there is no domain there is no app."""
        sagemaker = self.sagemaker
        domains = self._listed(sagemaker.list_domains, "Domains", "Studio apps", MaxResults=PAGE)
        if not domains:
            return []
        apps = self._listed(sagemaker.list_apps, "Apps", "Studio apps", MaxResults=PAGE)
        arns = {raw["DomainId"]: raw["DomainArn"] for raw in domains}
        return list(facts_of.apps(apps, arns))

    def _training(self) -> list[Rented]:
        sagemaker = self.sagemaker
        listed = self._listed(
            sagemaker.list_training_jobs,
            "TrainingJobSummaries",
            "training jobs",
            CreationTimeAfter=self.now - LONGEST_TRAINING,
            **LISTS_JOBS,
        )
        fresh = {raw["TrainingJobArn"] for raw in listed if self._is_fresh(raw, "Training")}
        wanted = [
            raw for raw in listed if raw["TrainingJobArn"] in fresh or self._keeps_instances(raw)
        ]

        def describe(raw: Raw) -> list[Rented]:
            answer = self._detail(
                (raw["TrainingJobArn"], raw.get("LastModifiedTime"), raw.get("SecondaryStatus")),
                lambda: sagemaker.describe_training_job(TrainingJobName=raw["TrainingJobName"]),
            )
            whole = {**answer, "WarmPoolStatus": raw.get("WarmPoolStatus")}
            job = facts_of.training(whole) if raw["TrainingJobArn"] in fresh else ()
            pool = facts_of.warm_pool(whole) if self._keeps_instances(raw) else ()
            return [*job, *pool]

        needs = "sagemaker:DescribeTrainingJob"
        return self._each(wanted, describe, "training jobs", needs)

    def _processing(self) -> list[Rented]:
        sagemaker = self.sagemaker
        listed = self._listed(
            sagemaker.list_processing_jobs,
            "ProcessingJobSummaries",
            "processing jobs",
            CreationTimeAfter=self.now - LONGEST_PROCESSING,
            **LISTS_JOBS,
        )

        def describe(raw: Raw) -> list[Rented]:
            name = raw["ProcessingJobName"]
            answer = self._detail(
                (raw["ProcessingJobArn"], raw.get("LastModifiedTime")),
                lambda: sagemaker.describe_processing_job(ProcessingJobName=name),
            )
            return list(facts_of.processing(answer))

        wanted = [raw for raw in listed if self._is_fresh(raw, "Processing")]
        needs = "sagemaker:DescribeProcessingJob"
        return self._each(wanted, describe, "processing jobs", needs)

    def _endpoints(self) -> list[Rented]:
        sagemaker = self.sagemaker
        ask = sagemaker.list_endpoints
        listed = self._listed(ask, "Endpoints", "endpoints", MaxResults=PAGE)

        def describe(raw: Raw) -> list[Rented]:
            key = (raw["EndpointArn"], raw["LastModifiedTime"])
            config = self.known.get(key)
            if config is not None and not self._may_carry(config):
                self.described[key] = config
                return []
            answer = sagemaker.describe_endpoint(EndpointName=raw["EndpointName"])
            name = answer["EndpointConfigName"]
            config = self._detail(
                key, lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name)
            )
            _part(config, "ProductionVariants")
            return list(facts_of.endpoint(answer, config))

        needs = "sagemaker:DescribeEndpoint, sagemaker:DescribeEndpointConfig"
        return self._each(listed, describe, "endpoints", needs)

    def _surroundings(
        self, carrying: Sequence[Rented]
    ) -> tuple[dict[str, dict[str, str]], dict[tuple[str, str | None], str]]:
        """Tags by ARN, and by space its owner: of what carries accelerators only."""
        named = (arn for each in carrying for arn in (*each.arns_around, each.arn) if arn)
        arns = list(dict.fromkeys(named))
        tags = self._tolerated(lambda: self._tags(arns), "tags", "tag:GetResources")
        if not any(each.space for each in carrying):
            return tags or {}, {}
        spaces = self._listed(self.sagemaker.list_spaces, "Spaces", "spaces", MaxResults=PAGE)
        owners = {
            (raw["DomainId"], raw["SpaceName"]): owner
            for raw in spaces
            if (owner := (raw.get("OwnershipSettingsSummary") or {}).get("OwnerUserProfileName"))
        }
        return tags or {}, owners

    def _tags(self, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        """By a list of names, not by kind of resource: training jobs are kept for ever."""
        tagging = self.session.client("resourcegroupstaggingapi", self.region)
        found: dict[str, dict[str, str]] = {}
        for begin in range(0, len(arns), ARNS_PER_CALL):
            answer = tagging.get_resources(ResourceARNList=arns[begin : begin + ARNS_PER_CALL])
            for told in _part(answer, "ResourceTagMappingList"):
                found[told["ResourceARN"]] = {
                    tag["Key"]: tag.get("Value", "") for tag in told["Tags"]
                }
        return found

    def _carrying(self, rented: Iterable[Rented]) -> Iterator[tuple[Rented, TypeFacts]]:
        """Those with accelerators, and a gap for each type that nobody could describe."""
        told = list(rented)
        known = [each for each in told if each.machine_type is not None]
        self.other_gaps += [_untyped(each, self.scope) for each in told if not each.machine_type]
        named = {each.ec2_type for each in known} - {None}
        asked = {str(name) for name in named} - set(self.inventory.types)
        if asked:
            ec2 = self.session.client("ec2", self.region)
            needs = "ec2:DescribeInstanceTypes"
            self.inventory.types |= (
                self._tolerated(lambda: fetch_types(ec2, asked), "machine types", needs) or {}
            )
        unknown: Counter[str] = Counter()
        for each in known:
            if each.ec2_type is None:
                continue
            facts = self.inventory.facts(each.ec2_type)
            if facts is None:
                unknown[str(each.machine_type)] += each.count
            elif facts.accelerators:
                yield each, facts
        for gap in unknown_types(unknown, self.region):
            self.other_gaps.append(replace(gap, account=self.scope.account))

    def _may_carry(self, config: Raw) -> bool:
        """Whether a variant of this configuration may have accelerators."""
        variants = [
            *(config.get("ProductionVariants") or ()),
            *(config.get("ShadowProductionVariants") or ()),
        ]
        pools = [pool for each in variants for pool in each.get("InstancePools") or ()]
        types = [each["InstanceType"] for each in (*variants, *pools) if each.get("InstanceType")]
        for name in types:
            facts = self.inventory.facts(name.removeprefix(facts_of.PREFIX))
            if facts is None or facts.accelerators:
                return True
        return False

    def _is_fresh(self, raw: Raw, word: str) -> bool:
        """Whether a job has not ended, or ended a short while ago."""
        ended = raw.get(f"{word}EndTime")
        if ended is None:
            return raw[f"{word}JobStatus"] in IN_PROGRESS
        return utc(ended) > self.now - RECENT

    def _keeps_instances(self, raw: Raw) -> bool:
        """Whether a training job's warm pool waits, or ended a short while ago."""
        pool, ended = raw.get("WarmPoolStatus") or {}, raw.get("TrainingEndTime")
        if ended is None or pool.get("Status") in {None, "InUse"}:
            return False
        retained = timedelta(seconds=pool.get("ResourceRetainedBillableTimeInSeconds") or 0)
        return pool["Status"] == "Available" or utc(ended) + retained > self.now - RECENT

    def _each(
        self, listed: Sequence[Raw], describe: Callable[[Raw], list[Rented]], what: str, needs: str
    ) -> list[Rented]:
        """All of them described, side by side; one that cannot be is a gap of its own."""
        if len(listed) > DETAILS_AT_MOST:
            why = f"only the newest {DETAILS_AT_MOST} of {len(listed)} {what} were looked at"
            self._cut(what, why)
        jobs = [
            partial(self._tolerated, partial(describe, raw), what, needs)
            for raw in listed[:DETAILS_AT_MOST]
        ]
        found = self.session.within_region(jobs) if jobs else []
        return [rented for several in found for rented in several or ()]

    def _detail(self, key: object, ask: Callable[[], Raw]) -> Raw:
        """As remembered, where nothing of it has changed."""
        answer = self.known.get(key)
        self.described[key] = ask() if answer is None else answer
        return self.described[key]

    def _listed(self, ask: Callable[..., Raw], part: str, what: str, **asked: object) -> list[Raw]:
        """All pages of a listing; nothing, and a gap, where it fails."""
        name = "".join(word.title() for word in ask.__name__.split("_"))
        found = self._tolerated(
            lambda: self._pages(ask, part, what, asked), what, f"sagemaker:{name}"
        )
        return found or []

    def _pages(
        self, ask: Callable[..., Raw], part: str, what: str, asked: Mapping[str, object]
    ) -> list[Raw]:
        found: list[Raw] = []
        token: dict[str, str] = {}
        for _ in range(PAGES_AT_MOST):
            page = ask(**asked, **token)
            found += _part(page, part)
            if not page.get("NextToken"):
                return found
            token = {"NextToken": page["NextToken"]}
        self._cut(what, f"only the first {len(found)} {what} were listed")
        return found

    def _cut(self, what: str, why: str) -> None:
        self.other_gaps.append(_gap(self.scope, what, f"{why}, to spare SageMaker"))

    def _tolerated(self, ask: Callable[[], T], what: str, needs: str) -> T | None:
        try:
            return ask()
        except AWS_ERRORS as error:
            self.troubles.append(Trouble(what=f"{SAGEMAKER} {what}", needs=needs, error=error))
            return None

    def _no_such_endpoint(self, error: BaseException) -> bool:
        unreachable = isinstance(error, EndpointConnectionError)
        return unreachable and not self.session.offers("sagemaker", self.region)


def _part(answer: Raw, part: str) -> Any:
    if part not in answer:
        raise AnswerCut(f"no {part} in it")
    return answer[part]


def _space(rented: Rented) -> tuple[str, str | None]:
    return rented.words[0], rented.space


def _untyped(rented: Rented, scope: Scope) -> Gap:
    what = f"machine type of {rented.kind} {rented.name}"
    return _gap(scope, what, "SageMaker does not tell its instance type; it is not watched")


def _gap(scope: Scope, what: str, why: str) -> Gap:
    return Gap(
        provider=scope.provider,
        account=scope.account,
        region=scope.region,
        what=f"{SAGEMAKER} {what}",
        why=why,
    )
