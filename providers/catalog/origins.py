"""The sources that the catalogue is built from: who made them, when, under which licence."""

from providers.catalog.offers import Source

_NO_EXTRAS = "discounts, disks, addresses and traffic"

KARPENTER_AWS = Source(
    id="karpenter-aws",
    name="Karpenter for AWS, generated price list",
    origin="aws/karpenter-provider-aws at 6fc13b523, pkg/providers/pricing",
    licence="Apache-2.0",
    as_of="2026-07-20",
    covers="AWS on demand, Linux, shared tenancy: us-east-1, us-gov-east-1, us-gov-west-1",
    leaves_out=_NO_EXTRAS,
)
LIBCLOUD_AWS = Source(
    id="libcloud-aws",
    name="Apache Libcloud, scraped price list",
    origin="apache/libcloud at a5ee9ef02, libcloud/data/pricing.json",
    licence="Apache-2.0",
    as_of="2023-08-06",
    covers=(
        "AWS on demand, Linux: 28 regions, 25 of them without a newer source; "
        "some figures are the price of dedicated tenancy"
    ),
    leaves_out=f"price changes since 2023, {_NO_EXTRAS}",
)
KARPENTER_AZURE = Source(
    id="karpenter-azure",
    name="Karpenter for Azure, generated price list",
    origin="Azure/karpenter-provider-azure at 2b431da1, pkg/providers/pricing",
    licence="Apache-2.0",
    as_of="2026-06-18",
    covers="Azure on demand, Linux: N series in 52 regions",
    leaves_out=_NO_EXTRAS,
)
KARPENTER_GCP = Source(
    id="karpenter-gcp",
    name="Karpenter for GCP, generated price list",
    origin="cloudpilot-ai/karpenter-provider-gcp at 373e2baa, pkg/providers/pricing",
    licence="Apache-2.0",
    as_of="2026-08-03",
    covers="GCP on demand and spot: A2, A3, G2 and G4 whole, with GPUs and bundled local SSD",
    leaves_out=_NO_EXTRAS,
)
CYCLENERD_GCP = Source(
    id="cyclenerd-gcp",
    name="Google Cloud Pricing and Cost Calculator",
    origin="Cyclenerd/google-cloud-pricing-cost-calculator",
    licence="Apache-2.0",
    as_of="2026-07",
    covers=(
        "GCP on demand and spot: A2, A3, G2 and G4 whole, with GPUs and bundled local SSD, "
        "also where Google lists a price but offers no such machine"
    ),
    leaves_out=_NO_EXTRAS,
)
AWS_TYPES = Source(
    id="aws-instance-types",
    name="Recorded answers of EC2 DescribeInstanceTypes",
    origin="AWS EC2 API",
    licence="Apache-2.0",
    as_of=None,
    covers="accelerators, vCPUs and local disks of 84 AWS types",
    leaves_out="media accelerators (VT1), which are no accelerators of this catalogue",
)
AWS_COUNTS = Source(
    id="aws-accelerator-counts",
    name="Kubernetes Cluster Autoscaler, static list of AWS types",
    origin="kubernetes/autoscaler, cluster-autoscaler/cloudprovider/aws",
    licence="Apache-2.0",
    as_of=None,
    covers=(
        "vCPUs and number of GPUs of AWS types; models and memory from AWS's pages on P3 and DL1"
    ),
    leaves_out="models, memory, Neuron and inference accelerators, slices of a GPU",
)
AZURE_COUNTS = Source(
    id="azure-accelerator-counts",
    name="Kubernetes Cluster Autoscaler, static list of Azure types",
    origin="kubernetes/autoscaler, cluster-autoscaler/cloudprovider/azure",
    licence="Apache-2.0",
    as_of=None,
    covers=(
        "vCPUs and number of GPUs of Azure types; "
        "models, memory and slices from Azure's pages on GPU sizes"
    ),
    leaves_out="models, memory, local disks; it counts a slice of a GPU as a whole one",
)

SOURCES = tuple(
    sorted(
        (
            KARPENTER_AWS,
            LIBCLOUD_AWS,
            KARPENTER_AZURE,
            KARPENTER_GCP,
            CYCLENERD_GCP,
            AWS_TYPES,
            AWS_COUNTS,
            AZURE_COUNTS,
        ),
        key=lambda source: source.id,
    )
)
